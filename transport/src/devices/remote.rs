//! Other servers' users' devices: asked for, and remembered for a while (LM-04 §4.1, §12.10.1.1; reading R39).
//!
//! A hub asks before it takes a commit that brings a device in, and whoever claims a key package asks what device it is
//! of. The answers are remembered, so that a device that comes into many rooms is asked for once. An update of a user's
//! list of devices makes all that is remembered of that user void.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mimi_linearized::encryption::{Devices, StagedCommit};
use mimi_linearized::id::{DeviceId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_mls::{DeviceAddress, DeviceObject, VerifiedDevice};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::api::user_device;
use crate::clock;
use crate::error::ErrCode;
use crate::node::Node;
use crate::rooms::RoomError;

/// How long an answer is taken for what the server would answer now: 10 minutes. It also tells of changes by itself,
/// with device list updates.
const FRESH_MS: i64 = 10 * 60 * 1_000;
/// How long an answer still counts if the server cannot be asked again: a day.
const USABLE_MS: i64 = 24 * 60 * 60 * 1_000;
/// How many devices are remembered. A device takes about half a kilobyte.
const REMEMBERED: usize = 16_384;
/// How many devices are asked for at once at most, so that nobody can make this server ask another for thousands by one
/// commit. Those beyond are as if their servers could not be asked; when it is tried again, the first are known.
const ASKED: usize = 512;
/// How many of them are asked for at the same time, of each server.
const AT_A_TIME: usize = 8;
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is remembered of other servers' users' devices.
#[derive(Debug, Default)]
pub(crate) struct RemoteDevices {
    known: Mutex<Known>,
}

/// Devices by user and id.
#[derive(Debug, Default)]
struct Known {
    users: HashMap<String, BTreeMap<String, Remembered>>,
    count: usize,
    /// How many updates of lists there were, of whatever users.
    updates: u64,
}

#[derive(Debug)]
struct Remembered {
    device: VerifiedDevice,
    learnt: i64,
}

/// The state of knowledge in which a server was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Before(u64);

impl RemoteDevices {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device as its server had it no longer ago than `within`, in milliseconds.
    fn get(&self, address: &DeviceAddress, now: i64, within: i64) -> Option<VerifiedDevice> {
        let known = self.known();
        let remembered = known.users.get(address.user_id())?.get(address.device_id())?;
        let age = now.saturating_sub(remembered.learnt);
        (0..within).contains(&age).then(|| remembered.device.clone())
    }

    fn before(&self) -> Before {
        Before(self.known().updates)
    }

    /// Remembers an answer, unless there was an update since it was asked for, which may be newer.
    fn put(&self, device: VerifiedDevice, now: i64, before: Before) {
        let mut known = self.known();
        if known.updates != before.0 {
            return;
        }
        if known.count >= REMEMBERED {
            known.make_room(now);
        }
        let (user, id) = (device.address().user_id().to_owned(), device.address().device_id().to_owned());
        let devices = known.users.entry(user).or_default();
        if devices.insert(id, Remembered { device, learnt: now }).is_none() {
            known.count = known.count.saturating_add(1);
        }
    }

    fn forget(&self, address: &DeviceAddress) {
        let mut known = self.known();
        let Some(devices) = known.users.get_mut(address.user_id()) else { return };
        let (removed, empty) = (devices.remove(address.device_id()).is_some(), devices.is_empty());
        if empty {
            known.users.remove(address.user_id());
        }
        known.count = known.count.saturating_sub(usize::from(removed));
    }

    /// A user's list of devices has changed: what was known of them is void.
    fn changed(&self, user: &UserId) {
        let mut known = self.known();
        known.updates = known.updates.wrapping_add(1);
        let gone = known.users.remove(user.as_str()).map_or(0, |devices| devices.len());
        known.count = known.count.saturating_sub(gone);
    }
}

impl Known {
    /// Forgets what has to be asked for again anyway, and everything if that is nothing.
    fn make_room(&mut self, now: i64) {
        let fresh = |remembered: &Remembered| now.saturating_sub(remembered.learnt) < FRESH_MS;
        self.users.retain(|_, devices| {
            devices.retain(|_, remembered| fresh(remembered));
            !devices.is_empty()
        });
        self.count = self.users.values().map(BTreeMap::len).sum();
        if self.count >= REMEMBERED {
            self.users.clear();
            self.count = 0;
        }
    }
}

/// What a server says of a device.
#[derive(Debug)]
enum Said {
    Valid(Box<VerifiedDevice>),
    Invalid,
    Absent,
    /// Nothing: it was not asked, did not answer, or answered with neither a device nor that there is none.
    Nothing,
}

impl Node {
    /// Takes what is remembered of a user's devices for void: their server has announced a change, or the user has come
    /// or gone, and while they were in no room of this server's, nobody would have announced any.
    pub(crate) fn devices_may_have_changed(&self, user: &UserId) {
        self.devices.changed(user);
    }

    /// What is remembered of the devices of new leaves, as far as it speaks for them. What speaks against a leaf may
    /// have changed since: that is asked for again.
    pub(super) fn learn_remembered(&self, commit: &StagedCommit, devices: &mut Devices) {
        let now = clock::now_ms();
        for leaf in commit.new_leaves() {
            if let Some(device) = self.devices.get(&leaf.address, now, FRESH_MS)
                && device.owns_leaf(commit.suite(), &leaf.address, &leaf.signature_key)
            {
                devices.learn_verified(device);
            }
        }
    }

    /// Asks the servers of other servers' users for devices. Nothing is learnt of a device whose server cannot be asked,
    /// unless it is remembered from the last day.
    pub(crate) async fn ask_for_devices(&self, wanted: &[DeviceAddress]) -> Devices {
        let mut devices = Devices::new();
        let mut to_ask: BTreeMap<DeviceAddress, (UserId, DeviceId)> = BTreeMap::new();
        for address in wanted {
            let (Ok(user), Ok(device)) =
                (UserId::parse(address.user_id()), DeviceId::parse(address.device_id()))
            else {
                continue;
            };
            if !self.is_local(&user) && to_ask.len() < ASKED {
                to_ask.insert(address.clone(), (user, device));
            }
        }
        let mut asking = JoinSet::new();
        let mut servers: HashMap<ServerName, Arc<Way>> = HashMap::new();
        for (address, (user, device)) in to_ask.clone() {
            let way = Arc::clone(servers.entry(user.server()).or_default());
            let node = self.clone();
            asking.spawn(async move { (node.ask_one(&way, &address, &user, &device).await, address) });
        }
        let deadline = Instant::now() + PATIENCE;
        let mut silent = to_ask;
        while let Ok(Some(joined)) = timeout_at(deadline, asking.join_next()).await {
            let Ok((said, address)) = joined else { continue };
            match said {
                Said::Valid(device) => devices.learn_verified(*device),
                Said::Invalid => devices.learn_invalid(&address),
                Said::Absent => devices.learn_absent(&address),
                Said::Nothing => continue,
            }
            silent.remove(&address);
        }
        let now = clock::now_ms();
        for address in silent.keys() {
            match self.devices.get(address, now, USABLE_MS) {
                Some(device) => devices.learn_verified(device),
                None => tracing::warn!(%address, "a device cannot be asked for"),
            }
        }
        devices
    }

    async fn ask_one(&self, way: &Way, address: &DeviceAddress, user: &UserId, device: &DeviceId) -> Said {
        let Ok(_place) = way.places.acquire().await else { return Said::Nothing };
        if way.is_blocked.load(Ordering::Relaxed) {
            return Said::Nothing;
        }
        let before = self.devices.before();
        let said = match user_device::call(self, user, device).await {
            Ok(object) => verify(address, object),
            Err(RoomError::Peer { error, .. }) if *error.code() == ErrCode::NotFound => Said::Absent,
            Err(error) => {
                tracing::info!(%address, %error, "a device was asked for in vain");
                if matches!(error, RoomError::Unreachable { .. }) {
                    way.is_blocked.store(true, Ordering::Relaxed);
                }
                Said::Nothing
            }
        };
        match &said {
            Said::Valid(device) => self.devices.put((**device).clone(), clock::now_ms(), before),
            Said::Invalid | Said::Absent => self.devices.forget(address),
            Said::Nothing => {}
        }
        said
    }
}

/// The way to one server.
#[derive(Debug)]
struct Way {
    places: Semaphore,
    /// Whether the server was not reached. What waits need not be tried then.
    is_blocked: AtomicBool,
}

impl Default for Way {
    fn default() -> Self {
        Self { places: Semaphore::new(AT_A_TIME), is_blocked: AtomicBool::new(false) }
    }
}

fn verify(address: &DeviceAddress, object: Object) -> Said {
    let verified = DeviceObject::parse(Value::Object(object)).and_then(|object| object.verify());
    match verified {
        Ok(device) if device.address() == address => Said::Valid(Box::new(device)),
        Ok(device) => {
            tracing::info!(%address, got = %device.address(), "a server has another device in place of one");
            Said::Invalid
        }
        Err(error) => {
            tracing::info!(%address, %error, "a server has a device that is not valid");
            Said::Invalid
        }
    }
}

#[cfg(test)]
mod tests {
    use mimi_mls::{Device, Suite};

    use super::*;

    fn device(user: &str, id: &str) -> VerifiedDevice {
        Device::generate(user, id, Suite::MANDATORY).unwrap().object().unwrap().verify().unwrap()
    }

    fn user(text: &str) -> UserId {
        UserId::parse(text).unwrap()
    }

    const BOB: &str = "@bob:b.example";

    #[test]
    fn what_is_remembered_ages() {
        let (devices, one) = (RemoteDevices::default(), device(BOB, "B"));
        let address = one.address().clone();
        devices.put(one.clone(), 1_000, devices.before());
        assert_eq!(devices.get(&address, 1_000, FRESH_MS), Some(one.clone()));
        assert_eq!(devices.get(&address, 999 + FRESH_MS, FRESH_MS), Some(one.clone()));
        assert_eq!(devices.get(&address, 1_000 + FRESH_MS, FRESH_MS), None);
        assert_eq!(devices.get(&address, 1_000 + FRESH_MS, USABLE_MS), Some(one));
        assert_eq!(devices.get(&address, 999, FRESH_MS), None, "the clock was set back");
    }

    #[test]
    fn an_update_makes_void_what_was_known_and_what_was_on_its_way() {
        let devices = RemoteDevices::default();
        let (b, c, other) = (device(BOB, "B"), device(BOB, "C"), device("@carol:b.example", "B"));
        let before = devices.before();
        for device in [&b, &other] {
            devices.put(device.clone(), 0, before);
        }
        devices.changed(&user(BOB));
        devices.put(c.clone(), 0, before);
        assert_eq!([&b, &c].map(|device| devices.get(device.address(), 0, FRESH_MS)), [None, None]);
        assert_eq!(devices.get(other.address(), 0, FRESH_MS).as_ref(), Some(&other));
        devices.put(c.clone(), 0, devices.before());
        assert_eq!(devices.get(c.address(), 0, FRESH_MS).as_ref(), Some(&c));
        devices.forget(c.address());
        assert_eq!(devices.get(c.address(), 0, FRESH_MS), None);
        assert_eq!(devices.known().count, 1);
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let devices = RemoteDevices::default();
        let one = device(BOB, "B");
        let fill = |learnt: i64| {
            let mut known = devices.known();
            for number in 0..REMEMBERED {
                let remembered = Remembered { device: one.clone(), learnt };
                known.users.entry(BOB.to_owned()).or_default().insert(number.to_string(), remembered);
            }
            known.count = REMEMBERED;
        };
        let put = |id: &str, now| devices.put(device("@carol:b.example", id), now, devices.before());
        fill(0);
        put("KEPT", FRESH_MS);
        assert_eq!(devices.known().count, 1, "only what has aged is forgotten");
        fill(FRESH_MS);
        put("NEW", FRESH_MS);
        assert_eq!(devices.known().count, 1);
        assert!(!devices.known().users.contains_key(BOB));
    }

    #[test]
    fn what_a_server_says_is_verified() {
        let bob = Device::generate(BOB, "B", Suite::MANDATORY).unwrap().object().unwrap();
        let address = bob.address().clone();
        let object = bob.value().clone();
        assert!(matches!(verify(&address, object.clone()), Said::Valid(_)));
        let other = DeviceAddress::new(BOB, "C").unwrap();
        assert!(matches!(verify(&other, object.clone()), Said::Invalid));
        let mut unsigned = object;
        unsigned.insert("signatures".to_owned(), serde_json::json!({}));
        assert!(matches!(verify(&address, unsigned), Said::Invalid));
        assert!(matches!(verify(&address, Object::new()), Said::Invalid));
    }
}
