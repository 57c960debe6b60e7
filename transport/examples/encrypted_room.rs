//! Two servers, and clients that talk in an encrypted room: publishing devices and key packages, making the group, adding
//! each other, messages, a user who is sent away and comes back, a client that is restarted.
//!
//! `cargo run -p mimi-transport --example encrypted_room`
//!
//! A `Client` is what a user's device has to be: keys that are stored, what is known of others' devices, and its view of
//! the room. How it reaches its server is up to it; here it calls the server directly.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use mimi_linearized::auth::Membership;
use mimi_linearized::base64;
use mimi_linearized::encryption::{
    Apart, Clearance, Devices, RoomDevice, RoomView, Seen, Upkeep, WelcomeMessage, commit_content,
};
use mimi_linearized::event::{kind, reference_id};
use mimi_linearized::id::{DeviceId, RoomId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_mls::{
    Changes, Device, DeviceAddress, DeviceObject, DurableEngine, Engine, KeyPackage, KeyPackageUse,
    LibraryFault, OutboundCommit, Stock, Suite,
};
use mimi_transport::clock;
use mimi_transport::devices::{NewDevice, OfferedKey};
use mimi_transport::edus::ToDevice;
use mimi_transport::node::Node;
use mimi_transport::rooms::NewRoom;
use mimi_transport::start::{Server, ServerConfig};
use mimi_transport::tls::DevCa;
use serde_json::{Value, json};
use tokio::net::TcpListener;

type Outcome<T> = Result<T, Box<dyn Error>>;

const SUITE: Suite = Suite::MANDATORY;
/// How long a client waits for news.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let (hub, other) = (server(folder.path()).await?, server(folder.path()).await?);
    let (hub, other) = (hub.node(), other.node());
    let (alice, bob) = (UserId::new("alice", &hub.name)?, UserId::new("bob", &other.name)?);
    let room = hub.create_room(encrypted_room(&alice)).await?;
    let mut phone = Client::new(hub, &alice, "PHONE", &room).await?;
    phone.make_group().await?;

    // Bob joins. His server tells Alice's of his laptop, and her phone adds it with a key package that it claims.
    join(other, &bob, &room, &hub.name).await?;
    let mut laptop = Client::new(other, &bob, "LAPTOP", &room).await?;
    phone.until(|phone| phone.missing() == 1).await?;
    phone.keep_up().await?;
    laptop.until(|laptop| laptop.members() == 2).await?;
    phone.say("Hello, Bob!").await?;
    laptop.until_heard("Hello, Bob!").await?;
    laptop.say("Hello, Alice!").await?;
    phone.until_heard("Hello, Alice!").await?;

    // A second device of Bob's need not wait for anybody: it joins on its own.
    let mut tablet = Client::new(other, &bob, "TABLET", &room).await?;
    tablet.join().await?;
    phone.until(|phone| phone.members() == 3).await?;
    tablet.say("From the sofa.").await?;
    phone.until_heard("From the sofa.").await?;

    // A client that is restarted goes on from what it has stored.
    laptop.restart()?;
    phone.say("Still there?").await?;
    laptop.until_heard("Still there?").await?;

    // Bob is sent away. As long as his devices could read it, nothing is said; the group follows first.
    hub.change_membership(&room, &alice, &bob, Membership::Leave, None, &[]).await?;
    phone.look().await?;
    let withheld = phone.say("Just between us.").await.err().ok_or("Bob could have read it")?;
    println!("{} says nothing: {withheld}", phone.engine.address());
    phone.keep_up().await?;
    assert_eq!(phone.members(), 1);
    phone.say("Just between us.").await?;

    // His server is told, and nothing of what comes after. He comes back. What his laptop had of the group is of no use any more, and it is added once more.
    laptop.until(|laptop| laptop.room.membership(&laptop.user) == Membership::Leave).await?;
    join(other, &bob, &room, &hub.name).await?;
    other.remove_device(&bob, &DeviceId::parse("TABLET")?).await?;
    laptop.forget()?;
    phone.until(|phone| phone.missing() == 1).await?;
    phone.keep_up().await?;
    laptop.until(|laptop| laptop.members() == 2).await?;
    phone.say("Welcome back.").await?;
    laptop.until_heard("Welcome back.").await?;
    assert!(!laptop.heard.iter().any(|words| words == "Just between us."));
    Ok(())
}

/// A user's device.
struct Client<'s> {
    server: &'s Node,
    user: UserId,
    /// The keys, and what they are stored in: in earnest, a database.
    engine: DurableEngine,
    stored: BTreeMap<Vec<u8>, Vec<u8>>,
    devices: Devices,
    room: RoomDevice,
    /// How far it has read its server's list of the room, and its user's inbox.
    seen: u64,
    read: u64,
    heard: Vec<String>,
}

impl<'s> Client<'s> {
    /// A new device, which is published with a stock of key packages.
    async fn new(server: &'s Node, user: &UserId, id: &str, room: &RoomId) -> Outcome<Self> {
        let engine = DurableEngine::new(Engine::new(Device::generate(user.as_str(), id, SUITE)?));
        let (stored, devices, heard) = (BTreeMap::new(), Devices::new(), Vec::new());
        let room = RoomDevice::new(room.clone());
        let user = user.clone();
        let mut this = Self { server, user, engine, stored, devices, room, seen: 0, read: 0, heard };
        this.publish(0, true).await?;
        // A server that came later lists the events since then, on top of this.
        for event in server.current_state(this.room.room_id()).await?.unwrap_or_default() {
            this.room.note(&serde_json::from_slice(&event)?);
        }
        this.look().await?;
        Ok(this)
    }

    /// Does something with the keys, and stores what that changes before anything comes of it.
    fn with<T, E: From<LibraryFault>>(
        &mut self,
        operation: impl FnOnce(&mut Engine, &mut RoomDevice, &Devices) -> Result<T, E>,
    ) -> Result<T, E> {
        let Self { engine, room, devices, stored, .. } = self;
        let unsaved = engine.run(|engine| operation(engine, room, devices))?;
        for record in unsaved.records() {
            match record.value() {
                Some(value) => drop(stored.insert(record.key().to_vec(), value.to_vec())),
                None => drop(stored.remove(record.key())),
            }
        }
        Ok(unsaved.stored())
    }

    fn restart(&mut self) -> Outcome<()> {
        self.engine = DurableEngine::restore(self.stored.clone())?;
        Ok(())
    }

    /// Publishes the device, with as many key packages as its server should have beside those that are left.
    async fn publish(&mut self, left: u64, last_resort: bool) -> Outcome<()> {
        let wanted = Stock::default().wanted(left);
        let (device, key_packages) = self.with(|engine, _, _| {
            let one_time = (0..wanted).map(|_| KeyPackageUse::OneTime);
            let mut offered = Vec::new();
            for uses in one_time.chain(last_resort.then_some(KeyPackageUse::LastResort)) {
                let key = base64::encode(KeyPackage::generate(engine.device(), uses)?.message());
                offered.push(OfferedKey { key, last_resort: uses == KeyPackageUse::LastResort });
            }
            Ok::<_, LibraryFault>((engine.device().object()?.into_value(), offered))
        })?;
        Ok(self.server.publish_device(NewDevice { device, key_packages }).await?)
    }

    /// Takes in what its server has got since it looked last.
    async fn look(&mut self) -> Outcome<()> {
        for (place, item) in self.server.store.inbox(&self.user, self.read, 1_000).await? {
            self.read = place + 1;
            self.take_item(&serde_json::from_slice(&item)?).await?;
        }
        let list = self.server.list(self.room.room_id(), self.seen, 1_000).await?;
        for event in list.map(|(events, _)| events).unwrap_or_default() {
            self.seen += 1;
            self.take_event(&serde_json::from_slice(&event)?)?;
        }
        Ok(())
    }

    fn take_event(&mut self, event: &Object) -> Outcome<()> {
        let id = reference_id(event, self.server.versions.default_version());
        let now = u64::try_from(clock::now_ms() / 1_000)?;
        match self.with(|engine, room, _| room.take(engine, &id, event, &Apart::default(), now))? {
            Seen::Message { plaintext, .. } => self.heard.push(String::from_utf8(plaintext)?),
            Seen::Commit(caught_up) if caught_up.halt.is_some() => {
                return Err(format!("the group cannot be followed: {:?}", caught_up.halt).into());
            }
            _ => {}
        }
        Ok(())
    }

    async fn take_item(&mut self, item: &Value) -> Outcome<()> {
        let text = |field: &str| item.get(field).and_then(Value::as_str).unwrap_or_default();
        let own = self.engine.address().device_id().to_owned();
        match text("type") {
            "to_device" if text("target_device") == own && text("message_type") == kind::ENCRYPTED => {
                let message = item.get("message").and_then(Value::as_object).ok_or("no message")?;
                let WelcomeMessage { welcome, commit_event_id, .. } = WelcomeMessage::parse(message)?;
                self.with(|engine, _, _| engine.join(&welcome, commit_event_id.as_str()))?;
                // The list once more: what comes after that commit may have been read before the Welcome came.
                self.seen = 0;
            }
            "device_list_update" => {
                let update = item.as_object().ok_or("no object")?;
                self.devices.update(&UserId::parse(text("sender"))?, update);
            }
            "key_package_used" if text("device") == own => {
                let left = item.get("remaining").and_then(Value::as_u64).unwrap_or_default();
                if Stock::default().wanted(left) > 0 {
                    self.publish(left, false).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Looks until something is so.
    async fn until(&mut self, mut is: impl FnMut(&mut Self) -> bool) -> Outcome<()> {
        let mut news = self.server.news();
        for _ in 0..2_000 {
            news.borrow_and_update();
            self.look().await?;
            if is(self) {
                return Ok(());
            }
            tokio::time::timeout(PATIENCE, news.changed()).await??;
        }
        Err("it never came to that".into())
    }

    async fn until_heard(&mut self, words: &str) -> Outcome<()> {
        self.until(|client| client.heard.iter().any(|heard| heard == words)).await?;
        println!("{} heard: {words}", self.engine.address());
        Ok(())
    }
}

/// What it does in the room.
impl Client<'_> {
    async fn make_group(&mut self) -> Outcome<()> {
        let commit = self.with(|engine, room, _| {
            engine.create(room.room_id().as_str())?;
            engine.commit(room.room_id().as_str(), Changes { update: true, ..Changes::default() })
        })?;
        self.commit(commit).await
    }

    /// Joins the group on its own.
    async fn join(&mut self) -> Outcome<()> {
        let commit = self.with(|engine, room, _| room.join(engine, None))?;
        self.commit(commit.ok_or("there is nothing to join")?).await
    }

    /// Commits what there is to do: who does not belong in the group goes, who is not in it and belongs there comes. A
    /// client that is not in a hurry waits until its turn has come.
    async fn keep_up(&mut self) -> Outcome<()> {
        let upkeep = self.upkeep().await?;
        let Some(turn) = upkeep.turn(self.engine.address()) else { return Ok(()) };
        let mut add = Vec::new();
        for device in &turn.add {
            add.extend(self.claim(device).await?);
        }
        let changes = Changes { add, remove: turn.remove, ..Changes::default() };
        let commit = self.with(|engine, room, _| engine.commit(room.room_id().as_str(), changes))?;
        self.commit(commit).await
    }

    /// How the group stands to the room. The servers of devices of which nothing is known are asked for them.
    async fn upkeep(&mut self) -> Outcome<Upkeep> {
        loop {
            let upkeep = self.with(|engine, room, devices| room.upkeep(engine, devices))?;
            let upkeep = upkeep.ok_or("the room is not encrypted")?;
            if upkeep.unknown.is_empty() {
                return Ok(upkeep);
            }
            for address in &upkeep.unknown {
                let user = UserId::parse(address.user_id())?;
                match self.server.device(&user, &DeviceId::parse(address.device_id())?).await? {
                    Some(object) => {
                        let object = DeviceObject::parse(Value::Object(object))?;
                        self.devices.learn(address, &object);
                    }
                    None => self.devices.learn_absent(address),
                }
            }
        }
    }

    async fn claim(&self, device: &DeviceAddress) -> Outcome<Option<KeyPackage>> {
        let algorithm = SUITE.key_package_algorithm();
        let wanted = json!({device.user_id(): {device.device_id(): algorithm}});
        let claimed = self.server.claim(wanted.as_object().ok_or("no object")?).await?;
        let key = claimed.get(device.user_id()).and_then(|keys| keys.get(device.device_id())?.get(algorithm));
        let Some(key) = key.and_then(Value::as_str) else { return Ok(None) };
        Ok(Some(KeyPackage::read(&base64::decode(key)?, SUITE)?))
    }

    /// Sends a commit, waits for it in the list, and sends the Welcome to those whom it adds.
    async fn commit(&mut self, commit: OutboundCommit) -> Outcome<()> {
        let (room, content) = (self.room.room_id().clone(), commit_content(&commit)?);
        self.server.send_event(&room, &self.user, kind::MLS_COMMIT, None, content).await?;
        self.until(|client| client.room.epoch() >= commit.epoch).await?;
        let Some(welcome) = commit.welcome else { return Ok(()) };
        let id = self.room.newest_commit().ok_or("the commit is not listed")?.clone();
        let message = WelcomeMessage::of(&welcome, id).ok_or("of no known suite")?.to_json();
        for address in &welcome.to {
            let message = ToDevice {
                target: UserId::parse(address.user_id())?,
                target_device: DeviceId::parse(address.device_id())?,
                message_type: kind::ENCRYPTED.to_owned(),
                message: message.clone(),
            };
            self.server.send_to_device(&self.user, message).await?;
        }
        Ok(())
    }

    /// Says something to everybody in the group, if all of them should hear it.
    async fn say(&mut self, words: &str) -> Outcome<()> {
        self.upkeep().await?;
        let content = self.with(|engine, room, devices| {
            let clearance = Clearance::check(room, devices, engine)?;
            Ok::<_, Box<dyn Error>>(clearance.encrypt(engine, words.as_bytes())?)
        })?;
        let room = self.room.room_id();
        self.server.send_event(room, &self.user, kind::ENCRYPTED, None, content.to_json()).await?;
        Ok(())
    }

    /// Forgets the group, if it did not see that it was removed from it.
    fn forget(&mut self) -> Outcome<()> {
        if self.members() == 0 {
            return Ok(());
        }
        self.with(|engine, room, _| engine.forget(room.room_id().as_str()))?;
        Ok(())
    }

    /// How many devices are in the group: none if this one is not.
    fn members(&mut self) -> usize {
        let members = self.with(|engine, room, _| engine.members(room.room_id().as_str()));
        members.map_or(0, |members| members.len())
    }

    /// How many devices are to be added.
    fn missing(&mut self) -> usize {
        let upkeep = self.with(|engine, room, devices| room.upkeep(engine, devices));
        upkeep.ok().flatten().map_or(0, |upkeep| upkeep.missing.len())
    }
}

async fn server(folder: &Path) -> Outcome<Server> {
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let server_name = ServerName::parse(&format!("localhost:{}", tcp.local_addr()?.port()))?;
    let ca = DevCa::open(folder, clock::now_ms())?;
    let data = folder.join(server_name.as_str().replace(':', "-"));
    let config = ServerConfig {
        certificate: Some(ca.server_certificate(folder, &["localhost"], clock::now_ms())?),
        cas: vec![ca.certificate().to_owned()],
        ..ServerConfig::new(server_name, data)
    };
    Ok(Server::start(config, tcp, None).await?)
}

fn encrypted_room(creator: &UserId) -> NewRoom {
    NewRoom {
        creator: creator.clone(),
        room_version: None,
        join_rule: Some("public".to_owned()),
        room_type: None,
        history_visibility: None,
        name: None,
        topic: None,
        encryption: Some(SUITE.room_algorithm().to_owned()),
        power_levels: Object::new(),
        initial_state: Vec::new(),
    }
}

async fn join(server: &Node, user: &UserId, room: &RoomId, hub: &ServerName) -> Outcome<()> {
    let via = std::slice::from_ref(hub);
    server.change_membership(room, user, user, Membership::Join, None, via).await?;
    Ok(())
}
