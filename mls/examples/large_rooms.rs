//! Measures what `docs/large-rooms.md` has in its tables: the bytes of everything that a group of so many devices sends.
//!
//! ```sh
//! cargo run -p mimi-mls --example large_rooms -- 10 100 155 210 500 1000 5000
//! ```

use std::error::Error;

use mimi_mls::{
    CallerFault, Carriage, Changes, Device, DeviceAddress, Engine, GroupTracker, KeyPackage, KeyPackageUse,
    OutboundCommit, Placement, Suite, WARM_LEAVES, batches,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROOM: &str = "!AAAAAAAAAAAAAAAAAA:example.org";
const SUITE: Suite = Suite::MANDATORY;
/// Everything apart: nothing is refused for its size.
const APART: Carriage = Carriage { tree: Placement::Apart, message: Placement::Apart };

fn device(number: usize) -> Result<Engine> {
    // Ids of the usual length.
    let user = format!("@somebody.{number}:example.org");
    Ok(Engine::new(Device::generate(&user, "ABCDEFGHIJ", SUITE)?))
}

fn key_package(engine: &Engine) -> Result<KeyPackage> {
    Ok(KeyPackage::generate(engine.device(), KeyPackageUse::OneTime)?)
}

fn event(commit: &OutboundCommit) -> String {
    format!("${}", commit.epoch)
}

/// A group with its hub.
struct Group {
    creator: Engine,
    hub: GroupTracker,
    devices: usize,
}

impl Group {
    fn new() -> Result<Self> {
        let mut creator = device(0)?;
        creator.create(ROOM)?;
        let first = creator.commit(ROOM, Changes { update: true, ..Changes::default() })?;
        let (hub, _) = GroupTracker::start(ROOM, SUITE, &first.message, &first.public_group_state)?;
        creator.accepted(ROOM, &event(&first))?;
        Ok(Self { creator, hub, devices: 1 })
    }

    /// Grows by adds alone, which leave every parent blank.
    fn cold(devices: usize) -> Result<Self> {
        let mut group = Self::new()?;
        let newcomers = (1..devices).map(|number| key_package(&device(number)?));
        for add in batches(newcomers.collect::<Result<Vec<_>>>()?) {
            group.devices += add.len();
            group.commit(Changes { add, carriage: APART, ..Changes::default() })?;
        }
        Ok(group)
    }

    /// Grows by adds, and makes an update by one device in each part of the tree.
    fn warm(devices: usize) -> Result<(Self, usize)> {
        let mut group = Self::new()?;
        let mut largest = 0;
        while group.devices < devices {
            let count = (WARM_LEAVES - group.devices % WARM_LEAVES).min(devices - group.devices);
            let numbers = group.devices..group.devices + count;
            let mut engines = numbers.map(device).collect::<Result<Vec<_>>>()?;
            let add = engines.iter().map(key_package).collect::<Result<_>>()?;
            let commit = group.commit(Changes { add, carriage: APART, ..Changes::default() })?;
            group.devices += count;
            let newcomer = engines.last_mut().ok_or("nobody is new")?;
            let welcome = commit.welcome.as_ref().ok_or("nobody was added")?;
            newcomer.join_with_tree(&welcome.message, &event(&commit), Some(&group.hub.ratchet_tree()?))?;
            let update =
                newcomer.commit(ROOM, Changes { update: true, carriage: APART, ..Changes::default() })?;
            largest = largest.max(update.message.len());
            group.hear(&update)?;
        }
        Ok((group, largest))
    }

    /// The creator commits.
    fn commit(&mut self, changes: Changes) -> Result<OutboundCommit> {
        let commit = self.creator.commit(ROOM, changes)?;
        let staged = self.hub.stage(&commit.message, &commit.public_group_state)?;
        self.hub.merge(staged)?;
        self.creator.accepted(ROOM, &event(&commit))?;
        Ok(commit)
    }

    /// Somebody else has committed.
    fn hear(&mut self, commit: &OutboundCommit) -> Result<()> {
        let staged = self.hub.stage(&commit.message, &commit.public_group_state)?;
        self.hub.merge(staged)?;
        self.creator.receive_commit(ROOM, &commit.message, &event(commit))?;
        Ok(())
    }

    /// A commit that nobody accepts.
    fn attempt(&mut self, changes: Changes) -> Result<OutboundCommit> {
        let commit = self.creator.commit(ROOM, changes)?;
        self.creator.refused(ROOM)?;
        Ok(commit)
    }

    fn with_path(&mut self) -> Result<Paths> {
        let update = Changes { update: true, carriage: APART, ..Changes::default() };
        let somebody = self.hub.members().nth(self.devices / 2).ok_or("an empty group")?;
        let remove: Vec<DeviceAddress> = vec![somebody.address.clone()];
        let remove = Changes { remove, carriage: APART, ..Changes::default() };
        let (update, remove) = (self.attempt(update)?, self.attempt(remove)?);
        let tree = self.hub.ratchet_tree()?;
        // Whoever joins from outside needs the group state of the last commit that was accepted.
        let last = self.commit(Changes {
            add: vec![key_package(&device(1_000_000)?)?],
            carriage: APART,
            ..Changes::default()
        })?;
        let late = self.hub.ratchet_tree()?;
        let (state, id) = (&last.public_group_state, event(&last));
        let join = device(1_000_001)?.join_external_with_tree(ROOM, state, &id, Some(&late), APART)?;
        Ok(Paths {
            update: update.message.len(),
            remove: remove.message.len(),
            join: join.message.len(),
            tree: tree.len(),
        })
    }
}

/// The bytes of commits that have a path.
struct Paths {
    update: usize,
    remove: usize,
    join: usize,
    tree: usize,
}

fn main() -> Result<()> {
    let arguments = std::env::args().skip(1).map(|argument| argument.parse());
    let mut sizes = arguments.collect::<std::result::Result<Vec<usize>, _>>()?;
    if sizes.is_empty() {
        sizes = vec![10, 100, 155, 210];
    }
    let mut rows = (Vec::new(), Vec::new());
    for devices in sizes {
        let mut group = Group::cold(devices)?;
        // One add, once as it is and once with the tree inside.
        let add = vec![key_package(&device(2_000_000)?)?];
        let one = group.attempt(Changes { add: add.clone(), carriage: APART, ..Changes::default() })?;
        let inside = Changes { add, carriage: Carriage::INSIDE, ..Changes::default() };
        let with_tree = match group.attempt(inside) {
            Ok(commit) => commit.public_group_state.len(),
            Err(error) => match error.downcast_ref::<mimi_mls::Error>() {
                Some(mimi_mls::Error::Caller(CallerFault::CommitTooLarge { size, .. })) => {
                    size - one.message.len()
                }
                _ => return Err(error),
            },
        };
        let newcomers = (0..200).map(|number| key_package(&device(3_000_000 + number)?));
        let add = batches(newcomers.collect::<Result<Vec<_>>>()?).swap_remove(0);
        let count = add.len();
        let batch = group.attempt(Changes { add, carriage: APART, ..Changes::default() })?;
        let welcome =
            |commit: &OutboundCommit| commit.welcome.as_ref().map_or(0, |welcome| welcome.message.len());
        let cold = group.with_path()?;
        let (mut warm_group, largest) = Group::warm(devices)?;
        let warm = warm_group.with_path()?;
        rows.0.push(format!(
            "| {devices} | {} | {} | {with_tree} | {} | {} | {count}: {} | {} | {count}: {} |",
            cold.tree,
            warm.tree,
            one.public_group_state.len(),
            one.message.len(),
            batch.message.len(),
            welcome(&one),
            welcome(&batch),
        ));
        rows.1.push(format!(
            "| {devices} | {} | {} | {} | {} | {} | {} | {largest} |",
            cold.update, warm.update, cold.remove, warm.remove, cold.join, warm.join,
        ));
        eprintln!("{devices} devices are done");
    }
    println!(
        "| devices | tree, cold | tree, warm | GroupInfo with the tree, one added | GroupInfo without | commit that adds one | commit that adds a batch | Welcome for one, no tree | Welcome for a batch, no tree |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    rows.0.iter().for_each(|row| println!("{row}"));
    println!();
    println!(
        "| devices | update, cold | update, warm | remove, cold | remove, warm | external join, cold | external join, warm | largest update on the way |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|");
    rows.1.iter().for_each(|row| println!("{row}"));
    Ok(())
}
