//! Devices and key packages.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::{Claimed, DeviceStore, NewKeyPackage, Store};
use super::{Backend, all_at_once, check_model, claim_notice, device, inbox, user};

const ALGORITHM: &str = "m.mls.v1.key_package";
const NEVER: i64 = i64::MAX;

fn package(key: &str) -> NewKeyPackage {
    NewKeyPackage { algorithm: ALGORITHM.to_owned(), key: key.to_owned(), last_resort: false, expires: NEVER }
}

fn last_resort(key: &str) -> NewKeyPackage {
    NewKeyPackage { last_resort: true, ..package(key) }
}

fn claimed(key: &str, remaining: u64) -> Option<Claimed> {
    Some(Claimed { key: key.to_owned(), remaining, last_resort: false })
}

fn claimed_last(key: &str) -> Option<Claimed> {
    Some(Claimed { key: key.to_owned(), remaining: 0, last_resort: true })
}

/// Uploads to Alice's device `d`.
async fn put(store: &dyn Store, key_packages: Vec<NewKeyPackage>) {
    store.put_device(&user("alice"), &device("d"), b"object".to_vec(), key_packages).await.unwrap();
}

/// Claims from Alice's device `d` at time 0.
async fn claim(store: &dyn Store) -> Option<Claimed> {
    store.claim(&user("alice"), &device("d"), ALGORITHM, 0, claim_notice).await.unwrap()
}

async fn remove(store: &dyn Store) -> bool {
    store.remove_device(&user("alice"), &device("d")).await.unwrap()
}

pub(crate) async fn devices_are_replaced_and_removed<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let (alice, bob) = (user("alice"), user("bob"));
    let put = async |user_id, name, object: &[u8]| {
        store.put_device(user_id, &device(name), object.to_vec(), Vec::new()).await.unwrap();
    };
    assert!(!store.remove_device(&alice, &device("A")).await.unwrap());
    put(&alice, "A", b"first").await;
    put(&alice, "B", b"second").await;
    put(&bob, "A", b"third").await;
    put(&alice, "A", b"newer").await;
    drop(store);

    let store = backend.open().await;
    let mut ids = store.devices(&alice).await.unwrap();
    ids.sort();
    assert_eq!(ids, [device("A"), device("B")]);
    assert!(store.remove_device(&alice, &device("B")).await.unwrap());
    assert!(!store.remove_device(&alice, &device("B")).await.unwrap());
    let object = async |user_id, name| store.device(user_id, &device(name)).await.unwrap();
    assert_eq!(object(&alice, "A").await.as_deref(), Some(&b"newer"[..]));
    assert_eq!(object(&alice, "B").await, None);
    assert_eq!(object(&bob, "A").await.as_deref(), Some(&b"third"[..]));
    assert_eq!(store.devices(&alice).await.unwrap(), [device("A")]);
    assert!(store.devices(&user("carol")).await.unwrap().is_empty());
}

pub(crate) async fn the_oldest_key_package_goes_first<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let other = NewKeyPackage { algorithm: "other".to_owned(), ..package("o") };
    put(&store, vec![package("z"), other, package("a")]).await;
    put(&store, vec![package("m")]).await;
    for elsewhere in [("alice", "e"), ("bob", "d")] {
        // The same key at another device is another key package.
        let packages = vec![package("z")];
        store.put_device(&user(elsewhere.0), &device(elsewhere.1), Vec::new(), packages).await.unwrap();
    }
    assert_eq!(claim(&store).await, claimed("z", 2));
    assert_eq!(claim(&store).await, claimed("a", 1));
    assert_eq!(claim(&store).await, claimed("m", 0));
    assert_eq!(claim(&store).await, None);
    for (user_id, device_id, algorithm, key) in
        [("alice", "d", "other", "o"), ("alice", "e", ALGORITHM, "z"), ("bob", "d", ALGORITHM, "z")]
    {
        let claim = async || {
            store.claim(&user(user_id), &device(device_id), algorithm, 0, claim_notice).await.unwrap()
        };
        assert_eq!(claim().await, claimed(key, 0));
        assert_eq!(claim().await, None);
    }
    assert_eq!(store.claim(&user("carol"), &device("d"), ALGORITHM, 0, claim_notice).await.unwrap(), None);
}

pub(crate) async fn the_last_resort_comes_last_and_stays<B: Backend>(backend: &B) {
    let store = backend.open().await;
    put(&store, vec![last_resort("l"), package("a")]).await;
    assert_eq!(claim(&store).await, claimed("a", 0));
    assert_eq!(claim(&store).await, claimed_last("l"));
    drop(store);
    let store = backend.open().await;
    assert_eq!(claim(&store).await, claimed_last("l"));
    put(&store, vec![package("b")]).await;
    assert_eq!(claim(&store).await, claimed("b", 0));
    assert_eq!(claim(&store).await, claimed_last("l"));
}

pub(crate) async fn the_newest_last_resort_is_used<B: Backend>(backend: &B) {
    let store = backend.open().await;
    put(&store, vec![last_resort("old")]).await;
    assert_eq!(claim(&store).await, claimed_last("old"));
    put(&store, vec![NewKeyPackage { expires: 10, ..last_resort("new") }]).await;
    assert_eq!(claim(&store).await, claimed_last("new"));
    let later = store.claim(&user("alice"), &device("d"), ALGORITHM, 10, claim_notice).await.unwrap();
    assert_eq!(later, claimed_last("old"), "the new one has expired");
}

pub(crate) async fn expired_key_packages_are_never_given<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let until = |expires, package| NewKeyPackage { expires, ..package };
    let packages = vec![
        until(100, package("a")),
        until(101, package("b")),
        until(99, package("c")),
        until(103, package("d")),
        until(102, last_resort("l")),
    ];
    put(&store, packages).await;
    let claim =
        async |now| store.claim(&user("alice"), &device("d"), ALGORITHM, now, claim_notice).await.unwrap();
    assert_eq!(claim(100).await, claimed("b", 1), "only what has not expired is left");
    assert_eq!(claim(103).await, None);
    assert_eq!(claim(102).await, claimed("d", 0));
    assert_eq!(claim(102).await, None);
    assert_eq!(claim(101).await, claimed_last("l"));
}

pub(crate) async fn each_key_package_goes_to_one_claim<B: Backend>(backend: &B) {
    let store = backend.open_shared().await;
    put(&*store, (0..20).map(|i| package(&format!("k{i}"))).collect()).await;
    let outcomes = all_at_once((0..32).map(|_| {
        let store = Arc::clone(&store);
        async move { claim(&*store).await }
    }))
    .await;
    let given: Vec<_> = outcomes.into_iter().flatten().collect();
    let keys: BTreeSet<_> = given.iter().map(|claimed| &claimed.key).collect();
    let remaining: BTreeSet<_> = given.iter().map(|claimed| claimed.remaining).collect();
    assert_eq!((given.len(), keys.len()), (20, 20));
    assert_eq!(remaining, (0..20).collect());
    drop(store);
    assert_eq!(claim(&backend.open().await).await, None);
}

pub(crate) async fn uploading_again_revives_nothing<B: Backend>(backend: &B) {
    let store = backend.open().await;
    let packages = || vec![package("a"), package("b"), package("a"), last_resort("l")];
    put(&store, packages()).await;
    assert_eq!(claim(&store).await, claimed("a", 1));
    assert_eq!(claim(&store).await, claimed("b", 0));
    assert_eq!(claim(&store).await, claimed_last("l"));
    drop(store);
    let store = backend.open().await;
    // In another role, or with another date, it is still the same.
    let disguised = ["a", "b"].map(last_resort).into_iter();
    put(&store, packages().into_iter().chain(disguised).chain([package("l")]).collect()).await;
    put(&store, vec![NewKeyPackage { expires: 5, algorithm: "other".to_owned(), ..package("a") }]).await;
    assert_eq!(claim(&store).await, claimed_last("l"));
    assert_eq!(store.claim(&user("alice"), &device("d"), "other", 0, claim_notice).await.unwrap(), None);
}

pub(crate) async fn removing_a_device_takes_what_it_offers<B: Backend>(backend: &B) {
    let store = backend.open().await;
    put(&store, vec![package("a"), last_resort("l")]).await;
    store.put_device(&user("alice"), &device("e"), Vec::new(), vec![package("e")]).await.unwrap();
    assert!(remove(&store).await);
    assert_eq!(claim(&store).await, None);
    put(&store, Vec::new()).await;
    assert_eq!(claim(&store).await, None);
    // It was never given out.
    put(&store, vec![package("a")]).await;
    assert_eq!(claim(&store).await, claimed("a", 0));
    let untouched = store.claim(&user("alice"), &device("e"), ALGORITHM, 0, claim_notice).await.unwrap();
    assert_eq!(untouched, claimed("e", 0));
}

pub(crate) async fn a_removed_device_revives_nothing<B: Backend>(backend: &B) {
    let store = backend.open().await;
    put(&store, vec![package("a"), package("b"), last_resort("l")]).await;
    for _ in 0..2 {
        assert!(claim(&store).await.is_some());
    }
    assert_eq!(claim(&store).await, claimed_last("l"));
    assert!(remove(&store).await);
    drop(store);

    let store = backend.open().await;
    put(&store, Vec::new()).await;
    assert_eq!(claim(&store).await, None, "what was given out as a last resort is gone too");
    put(&store, vec![package("a"), last_resort("b"), package("l"), package("c")]).await;
    assert_eq!(claim(&store).await, claimed("c", 0));
    assert_eq!(claim(&store).await, None);
    put(&store, vec![last_resort("l")]).await;
    assert_eq!(claim(&store).await, claimed_last("l"), "one of last resort may be given again");
}

pub(crate) async fn a_claim_and_its_notice_go_together<B: Backend>(backend: &B) {
    let store = backend.open().await;
    put(&store, vec![package("a"), package("b"), last_resort("l")]).await;
    store.put_device(&user("bob"), &device("d"), Vec::new(), Vec::new()).await.unwrap();
    for _ in 0..3 {
        assert!(claim(&store).await.is_some());
    }
    // Where nothing is given out, nobody is told.
    assert_eq!(store.claim(&user("bob"), &device("d"), ALGORITHM, 0, claim_notice).await.unwrap(), None);
    drop(store);
    let store = backend.open().await;
    let told = inbox(&store, &user("alice")).await;
    let expected = [1, 0, 0].map(|remaining| claim_notice(&device("d"), remaining));
    assert!(told.into_iter().map(|(_, bytes)| bytes).eq(expected));
    assert!(inbox(&store, &user("bob")).await.is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<(u8, bool, i64)>),
    Claim { now: i64 },
    Remove,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let package = (0_u8..6, prop::bool::weighted(0.3), 1_i64..4);
    let step = prop_oneof![
        3 => prop::collection::vec(package, 0..4).prop_map(Step::Put),
        5 => (0_i64..4).prop_map(|now| Step::Claim { now }),
        1 => Just(Step::Remove),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..24)
}

/// A key package of the model, in the order of upload.
struct Known {
    key: u8,
    last_resort: bool,
    expires: i64,
    offered: bool,
    given: bool,
}

/// What a device's key packages do, told plainly.
#[derive(Default)]
struct Model(Vec<Known>);

impl Model {
    fn put(&mut self, key: u8, last_resort: bool, expires: i64) {
        match self.0.iter_mut().find(|known| known.key == key) {
            Some(known) => known.offered |= known.last_resort && last_resort,
            None => self.0.push(Known { key, last_resort, expires, offered: true, given: false }),
        }
    }

    fn remove(&mut self) {
        self.0.retain(|known| known.given);
        for known in &mut self.0 {
            known.offered = false;
        }
    }

    fn claim(&mut self, now: i64) -> Option<Claimed> {
        let usable = |known: &&mut Known| known.offered && known.expires > now;
        let one_time = self.0.iter_mut().find(|known| usable(known) && !known.last_resort);
        let found = match one_time {
            Some(known) => known,
            None => self.0.iter_mut().rev().find(usable)?,
        };
        found.given = true;
        found.offered = found.last_resort;
        let (key, last_resort) = (found.key.to_string(), found.last_resort);
        let left = self.0.iter().filter(|known| known.offered && known.expires > now && !known.last_resort);
        Some(Claimed { key, last_resort, remaining: left.count() as u64 })
    }
}

pub(crate) async fn key_packages_follow_a_model<B: Backend>(_: &B) {
    check_model(&steps(), async |steps| {
        let backend = B::new();
        let mut store = Some(backend.open().await);
        let mut model = Model::default();
        let mut once = BTreeSet::new();
        let mut notices = Vec::new();
        for step in steps {
            let open = store.as_ref().unwrap();
            match step {
                Step::Put(packages) => {
                    let new = packages.iter().map(|(key, last_resort, expires)| NewKeyPackage {
                        last_resort: *last_resort,
                        expires: *expires,
                        ..package(&key.to_string())
                    });
                    put(open, new.collect()).await;
                    for (key, last_resort, expires) in packages {
                        model.put(key, last_resort, expires);
                    }
                }
                Step::Claim { now } => {
                    let given =
                        open.claim(&user("alice"), &device("d"), ALGORITHM, now, claim_notice).await.unwrap();
                    prop_assert_eq!(&given, &model.claim(now));
                    notices.extend(given.iter().map(|given| claim_notice(&device("d"), given.remaining)));
                    if let Some(Claimed { key, last_resort: false, .. }) = given {
                        prop_assert!(once.insert(key), "given out twice");
                    }
                }
                Step::Remove => {
                    remove(open).await;
                    model.remove();
                }
                Step::Reopen => {
                    drop(store.take());
                    store = Some(backend.open().await);
                }
            }
        }
        let told = inbox(store.as_ref().unwrap(), &user("alice")).await;
        prop_assert_eq!(told.into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>(), notices);
        Ok(())
    });
}
