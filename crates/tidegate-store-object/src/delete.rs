//! Deletes files and directories, in an order that a crash cannot turn into a trap.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::Error;
use tidegate_store::DeleteOutcome;
use tidegate_store_remote::ownership::OWNERS;
use tidegate_store_remote::{GivenUp, retry};

use crate::bucket::{Bucket, METADATA, is_denial};
use crate::failure;

// Requests of one deletion at the same time; one request deletes up to a thousand objects of S3.
const CONCURRENCY: usize = 8;
const BATCH: usize = 1000;

/// What a path is not, that was to be deleted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Misuse {
    IsDirectory,
    IsFile,
}

pub(crate) async fn file(
    bucket: &Bucket,
    path: &Path,
) -> Result<Result<DeleteOutcome, Misuse>, GivenUp<Error>> {
    match bucket.head(path).await? {
        Some(found) => {
            let was_there = !is_denial(path, found.length);
            if was_there || !bucket.guards.lock().contains(path) {
                bucket.delete(path).await?;
            }
            Ok(Ok(if was_there { DeleteOutcome::Deleted } else { DeleteOutcome::Absent }))
        }
        None => {
            let below = bucket.list(path).await?;
            let is_empty = below.objects.is_empty() && below.common_prefixes.is_empty();
            Ok(if is_empty { Ok(DeleteOutcome::Absent) } else { Err(Misuse::IsDirectory) })
        }
    }
}

pub(crate) async fn directory(
    bucket: &Arc<Bucket>,
    path: &Path,
) -> Result<Result<DeleteOutcome, Misuse>, GivenUp<Error>> {
    let objects = bucket.list_all(path).await?;
    if objects.is_empty() {
        let is_file = !path.is_root() && bucket.head(path).await?.is_some();
        return Ok(if is_file { Err(Misuse::IsFile) } else { Ok(DeleteOutcome::Absent) });
    }
    // A directory that goes with its owners' log takes the guards of that log along.
    let logs: Vec<String> = objects
        .iter()
        .filter_map(|object| object.location.as_ref().split_once(&format!("{OWNERS}/")))
        .map(|(directory, _)| directory.to_owned())
        .collect();
    bucket.guards.lock().retain(|path| !logs.iter().any(|log| path.as_ref().starts_with(log)));

    let is_denied = |o: &object_store::ObjectMeta| is_denial(&o.location, o.size);
    let is_owners = |path: &Path| path.parts().any(|name| name.as_ref() == OWNERS);
    let was_there = objects.iter().any(|o| !is_denied(o) && !is_owners(&o.location));
    let (guarded, objects): (Vec<_>, Vec<_>) =
        objects.into_iter().partition(|object| bucket.guards.lock().contains(&object.location));
    // Metadata first, then what it refers to. Who owned the directory is known until the end.
    let guarded = guarded.into_iter().filter(|object| !is_denied(object));
    let guarded = guarded.map(|object| Ok(object.location));
    stream::iter(guarded)
        .try_for_each_concurrent(CONCURRENCY, |path| async move { bucket.delete(&path).await })
        .await?;
    let paths = objects.into_iter().map(|object| object.location);
    let (metadata, rest): (Vec<_>, Vec<_>) =
        paths.partition(|path| path.filename() == Some(METADATA));
    let (owners, data): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_owners);
    for paths in [metadata, data, owners] {
        let batches: Vec<_> = paths.chunks(BATCH).map(<[Path]>::to_vec).collect();
        stream::iter(batches.into_iter().map(Ok))
            .try_for_each_concurrent(CONCURRENCY, |batch| delete_all(bucket, batch))
            .await?;
    }
    Ok(Ok(if was_there { DeleteOutcome::Deleted } else { DeleteOutcome::Absent }))
}

async fn delete_all(bucket: &Arc<Bucket>, paths: Vec<Path>) -> Result<(), GivenUp<Error>> {
    retry(&bucket.options.retry, failure::class, |_| async {
        let paths = stream::iter(paths.clone().into_iter().map(Ok)).boxed();
        let mut deleted = bucket.client.delete_stream(paths);
        while let Some(outcome) = deleted.next().await {
            match outcome {
                // Somebody else deletes them at the same time.
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })
    .await
}
