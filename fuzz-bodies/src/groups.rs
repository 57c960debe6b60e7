//! Groups that are given any bytes where a message belongs: what is refused changes nothing.

use std::cell::RefCell;

use mimi_mls::{
    Changes, Device, Engine, Error, GroupTracker, KeyPackage, KeyPackageUse, ListedCommit, Suite,
    UnverifiedKeyPackage,
};

const ROOM: &str = "!room:hub.example";

/// Two members, somebody who is to come in, and the hub's view.
struct World {
    alice: Engine,
    bob: Engine,
    carol: Engine,
    hub: GroupTracker,
    /// A commit of Alice's that is to come, its group state, and the Welcome in it.
    commit: Vec<u8>,
    group_state: Vec<u8>,
    welcome: Vec<u8>,
    message: Vec<u8>,
    key_package: Vec<u8>,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = RefCell::new(World::new().ok());
}

impl World {
    fn new() -> Result<Self, Error> {
        let engine = |user: &str| Device::generate(user, "D", Suite::MANDATORY).map(Engine::new);
        let (mut alice, mut bob) = (engine("@alice:hub.example")?, engine("@bob:hub.example")?);
        let carol = engine("@carol:hub.example")?;
        alice.create(ROOM)?;
        let add = vec![KeyPackage::generate(bob.device(), KeyPackageUse::OneTime)?];
        let first = alice.commit(ROOM, Changes { add, ..Changes::default() })?;
        let (hub, _) =
            GroupTracker::start(ROOM, Suite::MANDATORY, &first.message, &first.public_group_state)?;
        alice.accepted(ROOM, "$1")?;
        bob.join(&first.welcome.map(|welcome| welcome.message).unwrap_or_default(), "$1")?;
        let message = alice.encrypt(ROOM, b"hello")?.ciphertext;
        let published = KeyPackage::generate(carol.device(), KeyPackageUse::LastResort)?;
        let key_package = published.message().to_vec();
        let commit = alice.commit(ROOM, Changes { add: vec![published], ..Changes::default() })?;
        Ok(Self {
            alice,
            bob,
            carol,
            hub,
            commit: commit.message,
            group_state: commit.public_group_state,
            welcome: commit.welcome.map(|welcome| welcome.message).unwrap_or_default(),
            message,
            key_package,
        })
    }
}

fn with_world<T: Default>(use_it: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(|world| {
        assert!(world.is_some(), "a group can be made");
        world.as_mut().map(use_it).unwrap_or_default()
    })
}

/// What an engine shows of its group.
fn state(engine: &Engine) -> (Option<u64>, usize, bool) {
    let members = engine.members(ROOM).map_or(0, |members| members.len());
    (engine.epoch(ROOM).ok(), members, engine.pending_commit(ROOM).is_some())
}

fn unchanged<T>(engine: &mut Engine, act: impl FnOnce(&mut Engine) -> Result<T, Error>) {
    let before = state(engine);
    if let Err(error) = act(engine) {
        assert!(!matches!(error, Error::Library(_)), "bytes of somebody else are not our fault: {error}");
        assert_eq!(state(engine), before);
    }
}

/// Bytes as everything that a device gets from others.
pub fn mls_engine(bytes: &[u8]) {
    with_world(|World { alice, bob, carol, .. }| {
        // Alice has a commit pending.
        for engine in [alice, bob] {
            unchanged(engine, |engine| engine.receive_commit(ROOM, bytes, "$2"));
            unchanged(engine, |engine| engine.decrypt(ROOM, bytes));
            unchanged(engine, |engine| engine.join(bytes, "$2"));
            let commit =
                ListedCommit { event_id: "$2", message: bytes, public_group_state: bytes, tree: None };
            unchanged(engine, |engine| engine.catch_up(ROOM, &[commit], 0));
        }
        unchanged(carol, |engine| engine.join(bytes, "$2"));
        unchanged(carol, |engine| engine.join_external(ROOM, bytes, "$2"));
        // Whatever came of it, Carol is outside again.
        let _ = carol.refused(ROOM);
        let _ = carol.forget(ROOM);
    });
}

/// Bytes as a commit and as a group state that a hub has to judge.
pub fn mls_tracker(bytes: &[u8]) {
    with_world(|World { hub, commit, group_state, .. }| {
        let members = hub.members().count();
        let _ = hub.stage(bytes, group_state);
        let _ = hub.stage(commit, bytes);
        let _ = GroupTracker::start(ROOM, Suite::MANDATORY, bytes, group_state);
        let _ = GroupTracker::start(ROOM, Suite::MANDATORY, commit, bytes);
        assert_eq!((hub.epoch(), hub.members().count()), (1, members));
        assert!(hub.stage(commit, group_state).is_ok(), "what is sound is taken after what is not");
    });
}

/// Bytes as a key package, for every suite: what is read is written alike.
pub fn mls_key_package(bytes: &[u8]) {
    for &suite in Suite::ALL {
        let Ok(unverified) = UnverifiedKeyPackage::parse(bytes) else { return };
        let Ok(package) = unverified.verify(suite) else { continue };
        assert_eq!(package.suite(), suite);
        let again = KeyPackage::read(package.message(), suite);
        assert!(again.is_ok_and(|again| again.message() == package.message()));
        assert!(package.lifetime().check_range().is_ok());
    }
}

/// Wrong at its end, where the tags and signatures are.
fn spoiled(mut message: Vec<u8>) -> Vec<u8> {
    if let Some(last) = message.last_mut() {
        *last ^= 1;
    }
    message
}

pub(crate) fn engine_seeds() -> Vec<Vec<u8>> {
    with_world(|world| {
        let all = [&world.commit, &world.group_state, &world.welcome, &world.message];
        all.map(|message| spoiled(message.clone())).into()
    })
}

pub(crate) fn tracker_seeds() -> Vec<Vec<u8>> {
    with_world(|world| vec![world.commit.clone(), world.group_state.clone(), spoiled(world.commit.clone())])
}

pub(crate) fn key_package_seeds() -> Vec<Vec<u8>> {
    let package = with_world(|world| world.key_package.clone());
    // Of another version, of another suite, and cut short.
    let mut version = package.clone();
    let mut suite = package.clone();
    if let (Some(version), Some(suite)) = (version.get_mut(5), suite.get_mut(7)) {
        (*version, *suite) = (2, 3);
    }
    let short = package.get(..package.len() / 2).unwrap_or_default().to_vec();
    vec![package, version, suite, short]
}
