//! Items that one process takes and another one serves.

use std::io::Write as _;
use std::path::Path;

use axum::body::Body;
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;

use super::*;
use crate::media::{About, Media, MediaError, MediaId, MediaSettings};
use crate::store::Store;
use crate::tls::{ClientOffer, Roots, client_config};

/// The media of a process, in a folder of its own.
fn media(store: &Arc<NatsStore>, folder: &Path, settings: MediaSettings) -> Media {
    let tls = client_config(&Roots::system(), ClientOffer::default()).unwrap();
    let store: Arc<dyn Store> = Arc::clone(store) as _;
    Media::open(folder, peer("hub"), settings, tls).unwrap().kept_in(&store)
}

async fn upload(media: &Media, content: &[u8]) -> Result<MediaId, MediaError> {
    let about = About::new(Some("image/png"), Some("a.png"));
    let uploaded = media.upload(&user("alice"), about, Body::from(content.to_vec())).await?;
    assert_eq!(uploaded.size, u64::try_from(content.len()).unwrap());
    Ok(uploaded.uri.id)
}

async fn content(media: &Media, id: &MediaId) -> Result<Vec<u8>, MediaError> {
    let item = media.own(id).await?;
    assert_eq!(
        (item.about().content_type.as_str(), item.about().filename.as_deref()),
        ("image/png", Some("a.png"))
    );
    Ok(item.into_plain().into_body().collect().await.unwrap().to_bytes().to_vec())
}

/// More than fits into a few pieces.
fn large(seed: u8) -> Vec<u8> {
    (0..700_000_u32).map(|index| u8::try_from(index % 251).unwrap() ^ seed).collect()
}

/// Stores a content without an item.
async fn put(store: &NatsStore, id: &str, content: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    let mut file = tokio::fs::File::open(file.path()).await.unwrap();
    store.put_content(id, &mut file).await.unwrap();
}

/// How many contents there are, and of how many there are pieces.
async fn stored(store: &NatsStore) -> (usize, usize) {
    let objects = store.contents.objects.list().await.unwrap().count().await;
    let filter = format!("$O.{}.C.>", store.contents.bucket);
    (objects, store.contents.stream.info_with_subjects(filter).await.unwrap().count().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_takes_another_one_serves() {
    let Some((streams, one, other)) = two().await else { return };
    let folder = |name: &str| streams.folder.path().join(name);
    let here = media(&one, &folder("media one"), MediaSettings::default());
    let there = media(&other, &folder("media other"), MediaSettings::default());
    let (first, same) = (upload(&here, &large(1)).await.unwrap(), upload(&there, &large(1)).await.unwrap());
    let empty = upload(&here, b"").await.unwrap();
    one.catch_up().await.unwrap();
    other.catch_up().await.unwrap();
    for (media, id) in [(&here, &first), (&there, &first), (&here, &same), (&there, &first)] {
        assert_eq!(content(media, id).await.unwrap(), large(1));
    }
    assert_eq!(content(&there, &empty).await.unwrap(), b"");
    for media in [&here, &there] {
        let (used, items) = media.of_user(&user("alice")).await.unwrap();
        assert_eq!((used, items.len()), (1_400_000, 3));
    }
    // A process that was never there before has nothing of its own.
    let late = Arc::new(streams.process("late").await);
    let late_media = media(&late, &folder("media late"), MediaSettings::default());
    assert_eq!(content(&late_media, &first).await.unwrap(), large(1));

    // Only its owner deletes it; then it is nowhere, and the same content of another item stays.
    let (alice, bob) = (user("alice"), user("bob"));
    assert!(matches!(there.delete(&bob, &first).await, Err(MediaError::NotFound)));
    there.delete(&alice, &first).await.unwrap();
    assert!(matches!(there.delete(&alice, &first).await, Err(MediaError::NotFound)));
    for (store, media) in [(&one, &here), (&other, &there), (&late, &late_media)] {
        store.catch_up().await.unwrap();
        assert!(matches!(media.own(&first).await, Err(MediaError::NotFound)));
        assert_eq!(content(media, &same).await.unwrap(), large(1));
    }
    assert_eq!(stored(&one).await.0, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_is_for_all_processes_together() {
    let Some((streams, one, other)) = two().await else { return };
    let settings = MediaSettings { quota_bytes: 1_000_000, ..MediaSettings::default() };
    let here = media(&one, &streams.folder.path().join("media one"), settings.clone());
    let there = media(&other, &streams.folder.path().join("media other"), settings);
    // Both find that there is room for theirs.
    let contents = [large(1), large(2)];
    let (first, second) = tokio::join!(upload(&here, &contents[0]), upload(&there, &contents[1]));
    let refused = [&first, &second].into_iter().filter(|result| matches!(result, Err(MediaError::Quota(_))));
    assert_eq!(refused.count(), 1, "{first:?} {second:?}");
    other.catch_up().await.unwrap();
    assert!(matches!(upload(&there, &large(3)).await, Err(MediaError::Quota(1_000_000))));
    assert_eq!(stored(&one).await.0, 1, "nothing is left of what was refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_no_item_is_removed_after_a_while() {
    let Some((streams, one, _other)) = two().await else { return };
    let here = media(&one, &streams.folder.path().join("media one"), MediaSettings::default());
    let kept = upload(&here, &large(1)).await.unwrap();
    let (count, pieces) = stored(&one).await;
    // As if the process had died before it added the item, and in the middle of a content.
    put(&one, "nobodys", &large(2)).await;
    let bucket = &one.contents.bucket;
    let piece = one.log.client.publish(format!("$O.{bucket}.C.half"), "half".into());
    piece.await.unwrap();
    one.log.client.flush().await.unwrap();
    assert_eq!(
        one.contents.sweep(&one.log.view, Duration::from_secs(3_600)).await.unwrap(),
        0,
        "it is too new"
    );
    assert_eq!(one.contents.sweep(&one.log.view, Duration::ZERO).await.unwrap(), 2);
    assert_eq!(stored(&one).await, (count, pieces));
    assert_eq!(content(&here, &kept).await.unwrap(), large(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_content_that_is_gone_is_never_served_as_another() {
    let Some((streams, one, other)) = two().await else { return };
    let here = media(&one, &streams.folder.path().join("media one"), MediaSettings::default());
    let there = media(&other, &streams.folder.path().join("media other"), MediaSettings::default());
    let id = upload(&here, &large(1)).await.unwrap();
    other.catch_up().await.unwrap();
    one.remove_content(id.as_str()).await.unwrap();
    assert!(matches!(there.own(&id).await, Err(MediaError::Damaged)));
    put(&one, id.as_str(), &large(2)).await;
    assert!(matches!(there.own(&id).await, Err(MediaError::Damaged)), "its hash is another one");
    // Where there is a copy it is served still.
    assert_eq!(content(&here, &id).await.unwrap(), large(1));
}
