//! A room: its devices, and a hub as far as MLS is concerned, which follows and checks every commit.

use std::collections::BTreeMap;

use mimi_mls::{
    Change, CommitError, Decrypted, DeviceAddress, GroupTracker, Joined, KeyPackageUse, OutboundCommit,
    Received, RoomChanges, RoomClient, Suite, VerifiedDevice,
};
use mimi_mls_foreign::Stack;

pub(crate) const ROOM: &str = "!room:example.org";

/// A commit that was accepted.
struct Accepted {
    event_id: String,
    message: Vec<u8>,
    group_state: Vec<u8>,
}

pub(crate) struct Room {
    suite: Suite,
    clients: BTreeMap<String, Box<dyn RoomClient>>,
    introduced: Vec<VerifiedDevice>,
    tracker: Option<GroupTracker>,
    accepted: Vec<Accepted>,
    /// Who made the last commit.
    committer: Option<DeviceAddress>,
}

impl Room {
    pub(crate) fn new(suite: Suite) -> Self {
        Self {
            suite,
            clients: BTreeMap::new(),
            introduced: Vec::new(),
            tracker: None,
            accepted: Vec::new(),
            committer: None,
        }
    }

    /// A new device of a user, which is introduced to everybody. It takes the place of an earlier one.
    pub(crate) fn device(&mut self, user: &str, stack: Stack) {
        let client = stack.device(user, "DEVICE", self.suite).unwrap();
        assert_eq!(client.stack(), stack.name());
        self.bring(user, client);
    }

    /// A device of whatever make.
    pub(crate) fn bring(&mut self, user: &str, client: Box<dyn RoomClient>) {
        let object = client.object().unwrap();
        let value = serde_json::to_string(object.value()).unwrap();
        let object = mimi_mls::DeviceObject::parse(serde_json::from_str(&value).unwrap()).unwrap();
        self.introduced.push(object.verify().unwrap());
        self.clients.insert(user.to_owned(), client);
    }

    pub(crate) fn client(&mut self, user: &str) -> &mut dyn RoomClient {
        self.clients.get_mut(user).unwrap().as_mut()
    }

    pub(crate) fn address(&mut self, user: &str) -> DeviceAddress {
        self.client(user).address().clone()
    }

    pub(crate) fn key_package(&mut self, user: &str, uses: KeyPackageUse) -> Vec<u8> {
        let package = self.client(user).key_package(uses, None).unwrap();
        let read = mimi_mls::KeyPackage::read(&package, self.suite).unwrap();
        assert_eq!(read.is_last_resort(), uses == KeyPackageUse::LastResort);
        package
    }

    /// What the hub says to a commit: the event it becomes, and what it does.
    pub(crate) fn submit(&mut self, commit: &OutboundCommit) -> Result<(String, Change), CommitError> {
        let change = match &mut self.tracker {
            None => {
                let (tracker, change) =
                    GroupTracker::start(ROOM, self.suite, &commit.message, &commit.public_group_state)?;
                self.tracker = Some(tracker);
                change
            }
            Some(tracker) => {
                let staged = tracker.stage(&commit.message, &commit.public_group_state)?;
                tracker.merge(staged).unwrap()
            }
        };
        assert_eq!(commit.prev_commit_event_id.as_ref(), self.accepted.last().map(|last| &last.event_id));
        assert_eq!(change.epoch, commit.epoch);
        for added in &change.added {
            let owned =
                |device: &VerifiedDevice| device.owns_leaf(self.suite, &added.address, &added.signature_key);
            assert!(self.introduced.iter().any(owned), "{added:?}");
        }
        let event_id = format!("$commit{}", self.accepted.len());
        self.accepted.push(Accepted {
            event_id: event_id.clone(),
            message: commit.message.clone(),
            group_state: commit.public_group_state.clone(),
        });
        Ok((event_id, change))
    }

    /// The last commit event and its group state.
    pub(crate) fn last(&self) -> (String, Vec<u8>) {
        let last = self.accepted.last().unwrap();
        (last.event_id.clone(), last.group_state.clone())
    }

    pub(crate) fn message_of(&self, event_id: &str) -> Vec<u8> {
        self.accepted.iter().find(|accepted| accepted.event_id == event_id).unwrap().message.clone()
    }

    /// Makes the group.
    pub(crate) fn create(&mut self, user: &str) {
        self.client(user).create(ROOM).unwrap();
        assert!(self.client(user).encrypt(ROOM, b"to nobody").is_err());
        self.commit(user, &RoomChanges::update());
    }

    /// Somebody commits, the hub accepts it, and every member follows.
    pub(crate) fn commit(&mut self, user: &str, changes: &RoomChanges) -> OutboundCommit {
        let commit = self.client(user).commit(ROOM, changes).unwrap();
        self.accept(user, &commit);
        commit
    }

    fn accept(&mut self, user: &str, commit: &OutboundCommit) -> Change {
        let (event_id, change) = self.submit(commit).unwrap();
        assert_eq!(self.client(user).accepted(ROOM, &event_id).unwrap(), commit.epoch);
        let committer = self.address(user);
        assert_eq!(change.committer.address, committer);
        self.committer = Some(committer);
        for (name, client) in &mut self.clients {
            if name == user || client.epoch(ROOM).is_err() {
                continue;
            }
            let received = client.receive_commit(ROOM, &commit.message, &event_id).unwrap();
            let (Received::Applied { change: seen, .. } | Received::Removed { change: seen, .. }) = &received
            else {
                panic!("{name}: {received:?}")
            };
            // The first commit a tracker sees adds everybody; a member sees what it does.
            assert_eq!(*seen, change, "{name}");
            let is_removed = change.removed.contains(client.address()) && !change.resync;
            assert_eq!(matches!(received, Received::Removed { .. }), is_removed, "{name}");
            assert_eq!(client.epoch(ROOM).is_err(), is_removed, "{name}");
        }
        self.agrees();
        change
    }

    pub(crate) fn update(&mut self, user: &str) -> Change {
        let commit = self.client(user).commit(ROOM, &RoomChanges::update()).unwrap();
        self.accept(user, &commit)
    }

    pub(crate) fn remove(&mut self, user: &str, removed: &[&str]) -> Change {
        let removed: Vec<_> = removed.iter().map(|user| self.address(user)).collect();
        let commit = self.client(user).commit(ROOM, &RoomChanges::remove(removed)).unwrap();
        self.accept(user, &commit)
    }

    /// Somebody adds devices with fresh key packages, which join by Welcome.
    pub(crate) fn add(&mut self, user: &str, added: &[&str], uses: KeyPackageUse) -> Vec<Joined> {
        let packages = added.iter().map(|user| self.key_package(user, uses)).collect();
        self.add_with(user, packages)
    }

    pub(crate) fn add_with(&mut self, user: &str, packages: Vec<Vec<u8>>) -> Vec<Joined> {
        let commit = self.commit(user, &RoomChanges::add(packages));
        self.enter(&commit)
    }

    /// Whoever the last commit added joins by its Welcome.
    pub(crate) fn enter(&mut self, commit: &OutboundCommit) -> Vec<Joined> {
        let welcome = commit.welcome.as_ref().unwrap();
        assert_eq!(welcome.algorithm, self.suite.welcome_algorithm());
        let (event_id, _) = self.last();
        let committer = self.committer.clone().unwrap();
        let mut joined = Vec::new();
        for client in self.clients.values_mut().filter(|client| welcome.to.contains(client.address())) {
            let one = client.join(&welcome.message, &event_id).unwrap();
            assert_eq!((one.room_id.as_str(), one.epoch), (ROOM, commit.epoch));
            assert_eq!(one.added_by.address, committer);
            joined.push(one);
        }
        assert_eq!(joined.len(), welcome.to.len());
        self.agrees();
        joined
    }

    /// Somebody joins from the last group state, and all members follow.
    pub(crate) fn join_external(&mut self, user: &str) -> Change {
        let (event_id, group_state) = self.last();
        let commit = self.client(user).join_external(ROOM, &group_state, &event_id).unwrap();
        assert!(self.client(user).epoch(ROOM).is_err());
        self.accept(user, &commit)
    }

    /// Everybody in the group sees the same group as the hub.
    fn agrees(&self) {
        let tracker = self.tracker.as_ref().unwrap();
        let mut members = 0;
        for (user, client) in &self.clients {
            let Ok(epoch) = client.epoch(ROOM) else { continue };
            if !tracker.members().any(|member| member.address == *client.address()) {
                continue;
            }
            assert_eq!(epoch, tracker.epoch(), "{user}");
            assert!(tracker.members().eq(&client.members(ROOM).unwrap()), "{user}");
            members += 1;
        }
        assert!(members > 0);
    }

    /// Somebody says something, and every other member reads it.
    pub(crate) fn say(&mut self, user: &str, text: &str) {
        let sent = self.client(user).encrypt(ROOM, text.as_bytes()).unwrap();
        assert_eq!(sent.algorithm, self.suite.room_algorithm());
        assert_eq!(sent.commit_event_id, self.last().0);
        let own = self.client(user).decrypt(ROOM, &sent.ciphertext).unwrap();
        assert!(matches!(own, Decrypted::Own { .. }), "{own:?}");
        let mut others = 0;
        let users: Vec<_> = self.clients.keys().cloned().collect();
        for other in users {
            if other != user && self.client(&other).epoch(ROOM).is_ok() {
                self.reads(&other, &sent.ciphertext, user, text.as_bytes());
                others += 1;
            }
        }
        assert!(others > 0, "nobody listens");
    }

    pub(crate) fn reads(&mut self, user: &str, ciphertext: &[u8], from: &str, text: &[u8]) {
        let from = self.address(from);
        let received = self.client(user).decrypt(ROOM, ciphertext).unwrap();
        let Decrypted::Message { sender, plaintext, epoch, commit_event_id } = received else {
            panic!("{received:?}")
        };
        assert_eq!(sender, from);
        assert_eq!(plaintext, text);
        let made = self.accepted.get(usize::try_from(epoch).unwrap() - 1).unwrap();
        assert_eq!(commit_event_id.as_ref(), Some(&made.event_id));
    }

    /// The hub refuses every commit it has accepted before, and so do the devices.
    pub(crate) fn nothing_is_accepted_twice(&mut self) {
        let tracker = self.tracker.as_ref().unwrap();
        for accepted in &self.accepted {
            assert!(tracker.stage(&accepted.message, &accepted.group_state).is_err());
            for (user, client) in &mut self.clients {
                let again = client.receive_commit(ROOM, &accepted.message, "$replayed");
                assert!(again.is_err(), "{user}: {again:?}");
            }
        }
    }
}

pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
