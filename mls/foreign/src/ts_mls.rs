//! Devices whose MLS is `ts-mls`, which runs in a Node.js process beside this one.
//!
//! The program in that process is `ts-mls/bridge.mjs` of this crate; its packages are installed with `npm ci` in that
//! folder. Nothing here is started unless it is asked for.

use core::fmt;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mimi_mls::framing::MessageKind;
use mimi_mls::{
    CallerFault, DeviceAddress, DeviceCredential, Error, KeyPackageError, KeyPackageUse, LibraryFault,
    Lifetime, MAX_LIFETIME_SECS, Member, PeerFault, RoomClient, Source, Suite,
};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::library::{Entered, Library, Made, Opened, Processed, Proposals};
use crate::rooms::{Rooms, now};
use crate::{member, wire};

/// The name of the stack, as its devices give it.
pub const NAME: &str = "ts-mls";

/// The environment variable that names the folder with `node_modules` in it.
pub const FOLDER_VARIABLE: &str = "MIMI_TS_MLS";

/// Whether `ts-mls` can be in groups of `suite`: those of MLS 1.0 with Ed25519. Its keys of P-256 are in compressed form,
/// which RFC 9420 §5.1.1 does not have; and its numbers of suites with ML-KEM and X-Wing are its own.
pub fn has(suite: Suite) -> bool {
    matches!(suite.code(), 1 | 3)
}

/// The process with `ts-mls` in it. It ends when this and all devices made with it are gone.
#[derive(Clone, Debug)]
pub struct Bridge {
    process: Arc<Mutex<Process>>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its input is the end of the program.
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}

/// What [`Bridge::first_commit`] made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FirstCommit {
    /// The commit, a PublicMessage.
    pub commit: Vec<u8>,
    /// The GroupInfo that a device here publishes with it: with the ratchet tree, without an external public key.
    pub group_info: Vec<u8>,
    /// The GroupInfo that `ts-mls` makes for external joins: its external public key has no length in front of it, where
    /// RFC 9420 §12.4.3.2 has a vector.
    pub own_group_info: Vec<u8>,
}

/// Why the process gave no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// The process cannot be started, or talked to.
    #[error("the process with ts-mls cannot be reached")]
    Io(#[from] io::Error),
    /// It answered something that makes no sense.
    #[error("the process with ts-mls answered {answer:?}")]
    Answer {
        /// The line that came.
        answer: String,
    },
    /// `ts-mls` did not do what it was asked to.
    #[error("ts-mls says {kind}: {message}")]
    Refused {
        /// The class of its error.
        kind: String,
        /// What its error says.
        message: String,
    },
}

impl BridgeError {
    /// Whether it is what `ts-mls` says of the bytes it was given, and no mistake of a program.
    fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { kind, .. } => {
                !["TypeError", "ReferenceError", "RangeError"].contains(&kind.as_str())
            }
            Self::Io(_) | Self::Answer { .. } => false,
        }
    }
}

impl From<BridgeError> for Error {
    fn from(error: BridgeError) -> Self {
        LibraryFault::Mls(error.into()).into()
    }
}

impl Bridge {
    /// Starts the process. `folder` is where `node_modules` is.
    ///
    /// # Errors
    ///
    /// [`BridgeError::Io`] if there is no Node.js.
    pub fn start(folder: &Path) -> Result<Self, BridgeError> {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/ts-mls/bridge.mjs");
        let mut child = Command::new("node")
            .arg(program)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let requests = child.stdin.take();
        let answers = child.stdout.take().map(BufReader::new);
        let answers = answers.ok_or_else(|| io::Error::other("the process has no output"))?;
        Ok(Self { process: Arc::new(Mutex::new(Process { child, requests, answers })) })
    }

    /// A new device, with a fresh signature key pair.
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if an id is empty or longer than 255 bytes, [`Error::Library`] if `ts-mls` does not
    /// [have](has) the suite or the process is gone.
    pub fn device(&self, user_id: &str, device_id: &str, suite: Suite) -> Result<Box<dyn RoomClient>, Error> {
        Ok(Box::new(Rooms::new(self.library(user_id, device_id, suite)?)))
    }

    /// The first commit of a room's group, made by a new device. It shows what `ts-mls` publishes by itself for external
    /// joins, which its devices here do not.
    ///
    /// # Errors
    ///
    /// Those of [`device`](Self::device).
    pub fn first_commit(&self, room_id: &str, user_id: &str, suite: Suite) -> Result<FirstCommit, Error> {
        let mut library = self.library(user_id, "DEVICE", suite)?;
        let mut group = library.create(room_id.as_bytes())?;
        let proposals = Proposals { add: Vec::new(), remove: Vec::new(), path: true };
        let Made { commit, group_info, .. } = library.commit(&mut group, &proposals)?;
        library.merge(&mut group)?;
        let own = library.ask("ownGroupInfo", json!({ "state": group.state }))?;
        Ok(FirstCommit { commit, group_info, own_group_info: own.bytes("groupInfo")? })
    }

    fn library(&self, user_id: &str, device_id: &str, suite: Suite) -> Result<TsMls, Error> {
        let address = DeviceAddress::new(user_id, device_id).map_err(CallerFault::from)?;
        if !has(suite) {
            return Err(LibraryFault::Mls(format!("ts-mls is not used with {suite}").into()).into());
        }
        let made = self.ask("device", json!({ "suite": suite.code() }))?;
        let key = made.bytes("key")?;
        let credential =
            DeviceCredential::new(address, key).map_err(|error| LibraryFault::Encoding(error.into()))?;
        let identity = credential.encode().map_err(|error| LibraryFault::Encoding(error.into()))?;
        let device = made.number("device")?;
        self.ask("credential", json!({ "device": device, "identity": STANDARD.encode(identity) }))?;
        Ok(TsMls { bridge: self.clone(), device, credential, suite })
    }

    fn ask(&self, operation: &str, arguments: Value) -> Result<Answer, BridgeError> {
        let mut request = match arguments {
            Value::Object(arguments) => arguments,
            _ => Map::new(),
        };
        request.insert("op".to_owned(), operation.into());
        let mut line = Value::Object(request).to_string();
        line.push('\n');
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = process.requests.as_mut().ok_or_else(|| io::Error::other("the process is closed"))?;
        requests.write_all(line.as_bytes())?;
        requests.flush()?;
        let mut answer = String::new();
        process.answers.read_line(&mut answer)?;
        let Ok(Value::Object(fields)) = serde_json::from_str(&answer) else {
            return Err(BridgeError::Answer { answer });
        };
        let answer = Answer(fields);
        match answer.0.get("error").and_then(Value::as_str) {
            None => Ok(answer),
            Some(message) => {
                let kind = answer.text("kind").unwrap_or_default().to_owned();
                Err(BridgeError::Refused { kind, message: message.to_owned() })
            }
        }
    }
}

/// An answer of the process.
#[derive(Debug)]
struct Answer(Map<String, Value>);

impl Answer {
    fn senseless(&self) -> BridgeError {
        BridgeError::Answer { answer: Value::Object(self.0.clone()).to_string() }
    }

    fn text(&self, field: &str) -> Result<&str, BridgeError> {
        self.0.get(field).and_then(Value::as_str).ok_or_else(|| self.senseless())
    }

    fn bytes(&self, field: &str) -> Result<Vec<u8>, BridgeError> {
        STANDARD.decode(self.text(field)?).map_err(|_| self.senseless())
    }

    fn number(&self, field: &str) -> Result<u64, BridgeError> {
        self.0.get(field).and_then(Value::as_u64).ok_or_else(|| self.senseless())
    }

    fn index(&self, field: &str) -> Result<u32, BridgeError> {
        u32::try_from(self.number(field)?).map_err(|_| self.senseless())
    }

    fn flag(&self, field: &str) -> bool {
        self.0.get(field).and_then(Value::as_bool).unwrap_or_default()
    }

    /// A field that is an object, or nothing.
    fn object(&self, field: &str) -> Option<Self> {
        self.0.get(field)?.as_object().cloned().map(Self)
    }

    fn objects(&self, field: &str) -> Result<Vec<Self>, BridgeError> {
        let items = self.0.get(field).and_then(Value::as_array).ok_or_else(|| self.senseless())?;
        items.iter().map(|item| item.as_object().cloned().map(Self).ok_or_else(|| self.senseless())).collect()
    }

    /// Whose leaf it is.
    fn member(&self) -> Result<Member, Error> {
        let credential_type = u16::try_from(self.number("type")?).map_err(|_| self.senseless())?;
        let (identity, key) = (self.bytes("identity")?, self.bytes("key")?);
        Ok(member::read(credential_type, &identity, &key).map_err(PeerFault::from)?)
    }

    fn group(&self) -> Result<Group, Error> {
        let members = self.objects("members")?;
        Ok(Group {
            state: self.number("state")?,
            group_id: self.bytes("groupId")?,
            epoch: self.number("epoch")?,
            own: self.index("own")?,
            members: members
                .iter()
                .map(|leaf| Ok((leaf.index("leaf")?, leaf.member()?)))
                .collect::<Result<_, Error>>()?,
            pending: None,
            spent: None,
        })
    }

    fn next(&self) -> Result<Group, Error> {
        self.object("next").ok_or_else(|| self.senseless())?.group()
    }

    fn made(&self) -> Result<Made, Error> {
        let welcome = self.text("welcome").is_ok().then(|| self.bytes("welcome")).transpose()?;
        Ok(Made { commit: self.bytes("commit")?, group_info: self.bytes("groupInfo")?, welcome })
    }
}

/// `ts-mls` with the keys of a device.
struct TsMls {
    bridge: Bridge,
    device: u64,
    credential: DeviceCredential,
    suite: Suite,
}

/// A state of a group, which the process has under a number.
struct Group {
    state: u64,
    group_id: Vec<u8>,
    epoch: u64,
    own: u32,
    members: Vec<(u32, Member)>,
    pending: Option<Box<Group>>,
    /// The key package that was used up to enter, until that is known to be fine.
    spent: Option<String>,
}

impl TsMls {
    fn ask(&self, operation: &str, mut arguments: Value) -> Result<Answer, BridgeError> {
        if let Some(arguments) = arguments.as_object_mut() {
            arguments.insert("device".to_owned(), self.device.into());
        }
        self.bridge.ask(operation, arguments)
    }

    /// Asks for something that bytes of others decide about: a refusal is then the fault that `fault` makes of it.
    fn judge(
        &self,
        operation: &str,
        arguments: Value,
        fault: impl FnOnce(BridgeError) -> PeerFault,
    ) -> Result<Answer, Error> {
        self.ask(operation, arguments)
            .map_err(|error| if error.is_refusal() { fault(error).into() } else { error.into() })
    }

    /// Replaces a state, which nobody needs any more.
    fn replace(&self, group: &mut Group, next: Group) -> Result<(), Error> {
        let old = group.state;
        *group = next;
        self.ask("forget", json!({ "state": old }))?;
        Ok(())
    }
}

fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

impl Library for TsMls {
    type Group = Group;

    const NAME: &'static str = NAME;

    fn credential(&self) -> &DeviceCredential {
        &self.credential
    }

    fn suite(&self) -> Suite {
        self.suite
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Source> {
        Ok(self.ask("sign", json!({ "message": encode(message) }))?.bytes("signature")?)
    }

    fn key_package(&mut self, uses: KeyPackageUse, lifetime: Lifetime) -> Result<Vec<u8>, Error> {
        let made = self.ask(
            "keyPackage",
            json!({
                "notBefore": lifetime.not_before.to_string(),
                "notAfter": lifetime.not_after.to_string(),
                "lastResort": uses == KeyPackageUse::LastResort,
            }),
        )?;
        Ok(made.bytes("message")?)
    }

    fn owner(&self, key_package: &[u8]) -> Result<Member, Error> {
        let wrong = |error: KeyPackageError| Error::from(PeerFault::KeyPackage(error));
        let arguments = json!({ "message": encode(key_package) });
        let package =
            self.judge("readKeyPackage", arguments, |error| wire::malformed(MessageKind::KeyPackage, error))?;
        let got = u16::try_from(package.number("suite")?).unwrap_or_default();
        if got != self.suite.code() {
            return Err(wrong(KeyPackageError::WrongSuite { expected: self.suite, got }));
        }
        let seconds = |field: &str| -> Result<u64, BridgeError> {
            package.text(field)?.parse().map_err(|_| package.senseless())
        };
        let (not_before, not_after, now) = (seconds("notBefore")?, seconds("notAfter")?, now());
        let seconds = not_after.saturating_sub(not_before);
        if seconds > MAX_LIFETIME_SECS {
            return Err(wrong(KeyPackageError::LifetimeTooLong { seconds }));
        }
        if now < not_before {
            return Err(wrong(KeyPackageError::NotYetValid { not_before, now }));
        }
        if now >= not_after {
            return Err(wrong(KeyPackageError::Expired { not_after, now }));
        }
        package.member()
    }

    fn create(&mut self, group_id: &[u8]) -> Result<Group, Error> {
        self.ask("create", json!({ "groupId": encode(group_id) }))?.group()
    }

    fn commit(&mut self, group: &mut Group, proposals: &Proposals) -> Result<Made, Error> {
        if proposals.path && !proposals.add.is_empty() && proposals.remove.is_empty() {
            let what = "ts-mls makes no path for a commit that only adds";
            return Err(LibraryFault::Mls(what.into()).into());
        }
        let add: Vec<_> = proposals.add.iter().map(|package| encode(package)).collect();
        let arguments = json!({ "state": group.state, "add": add, "remove": proposals.remove });
        let made = self.judge("commit", arguments, |error| PeerFault::InvalidCommit(error.into()))?;
        group.pending = Some(Box::new(made.next()?));
        made.made()
    }

    fn merge(&mut self, group: &mut Group) -> Result<(), Error> {
        let next = group.pending.take().ok_or(LibraryFault::MissingState)?;
        self.replace(group, *next)
    }

    fn clear(&mut self, group: &mut Group) -> Result<(), Error> {
        if let Some(next) = group.pending.take() {
            self.ask("forget", json!({ "state": next.state }))?;
        }
        Ok(())
    }

    fn process(&mut self, group: &Group, commit: &[u8]) -> Result<Processed<Group>, Error> {
        let arguments = json!({ "state": group.state, "message": encode(commit) });
        let processed = self.judge("process", arguments, |error| match &error {
            BridgeError::Refused { message, .. } if message == "not an MLSMessage" => {
                wire::malformed(MessageKind::PublicMessage, error)
            }
            _ => PeerFault::InvalidCommit(error.into()),
        })?;
        if processed.flag("byReference") {
            return Err(PeerFault::ProposalByReference.into());
        }
        if let Ok(proposal_type) = processed.number("unsupported") {
            let proposal_type = u16::try_from(proposal_type).unwrap_or(u16::MAX);
            return Err(PeerFault::UnsupportedProposal { proposal_type }.into());
        }
        let added = processed.objects("added")?;
        let removed = processed.0.get("removed").and_then(Value::as_array);
        let removed = removed.ok_or_else(|| processed.senseless())?.iter();
        Ok(Processed {
            group: processed.object("next").map(|next| next.group()).transpose()?,
            path_leaf: processed.object("path").map(|leaf| leaf.member()).transpose()?,
            added: added.iter().map(Answer::member).collect::<Result<_, _>>()?,
            removed: removed
                .map(|leaf| leaf.as_u64().and_then(|leaf| u32::try_from(leaf).ok()))
                .collect::<Option<_>>()
                .ok_or_else(|| processed.senseless())?,
        })
    }

    fn settle(&mut self, group: &mut Group) -> Result<(), Error> {
        if let Some(reference) = group.spent.take() {
            self.ask("spend", json!({ "reference": reference }))?;
        }
        Ok(())
    }

    fn enter(&mut self, welcome: &[u8]) -> Result<Entered<Group>, Error> {
        let arguments = json!({ "welcome": encode(welcome) });
        let entered = self.judge("join", arguments, |error| PeerFault::InvalidWelcome(error.into()))?;
        if entered.flag("noKeyPackage") {
            return Err(PeerFault::NoMatchingKeyPackage.into());
        }
        let last_resort = entered.flag("lastResort");
        let mut group = entered.next()?;
        group.spent = (!last_resort).then(|| entered.text("reference").map(str::to_owned)).transpose()?;
        Ok(Entered { group_id: group.group_id.clone(), sender: entered.index("sender")?, last_resort, group })
    }

    fn enter_alone(&mut self, group_info: &[u8]) -> Result<(Group, Made), Error> {
        let arguments = json!({ "groupInfo": encode(group_info) });
        let made = self.judge("joinExternal", arguments, |error| PeerFault::InvalidTree(error.into()))?;
        Ok((made.next()?, made.made()?))
    }

    fn encrypt(&mut self, group: &mut Group, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let made = self.ask("encrypt", json!({ "state": group.state, "plaintext": encode(plaintext) }))?;
        let mut next = made.next()?;
        next.pending = group.pending.take();
        self.replace(group, next)?;
        Ok(made.bytes("message")?)
    }

    fn decrypt(&mut self, group: &mut Group, ciphertext: &[u8]) -> Result<Opened, Error> {
        let arguments = json!({ "state": group.state, "ciphertext": encode(ciphertext) });
        let opened = self.judge("decrypt", arguments, |error| match &error {
            BridgeError::Refused { message, .. } if message.contains("gen in the past") => {
                PeerFault::KeyUsedUp
            }
            _ => PeerFault::Undecryptable(error.into()),
        })?;
        if opened.flag("own") {
            return Ok(Opened::Own);
        }
        let sender = opened.object("sender").ok_or_else(|| opened.senseless())?.member()?;
        let mut next = opened.next()?;
        next.pending = group.pending.take();
        self.replace(group, next)?;
        Ok(Opened::Message { sender, plaintext: opened.bytes("plaintext")? })
    }

    fn epoch(&self, group: &Group) -> u64 {
        group.epoch
    }

    fn members(&self, group: &Group) -> Result<Vec<(u32, Member)>, Error> {
        Ok(group.members.clone())
    }

    fn own_leaf(&self, group: &Group) -> u32 {
        group.own
    }
}

impl fmt::Debug for TsMls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TsMls")
            .field("credential", &self.credential)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}
