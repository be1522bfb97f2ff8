//! Reads a range in pieces, several at a time.

use std::future::Future;

use futures_util::stream::{self, StreamExt, TryStreamExt};

/// Fills the buffer with what lies from `offset` on, in pieces of `piece` bytes of which at most
/// `concurrency` are under way; no bytes are held here. The first failure ends it.
///
/// # Panics
///
/// When `piece` or `concurrency` is zero.
pub async fn fill<'a, E, F, Fut>(
    buffer: &'a mut [u8],
    offset: u64,
    (piece, concurrency): (usize, usize),
    fetch: F,
) -> Result<(), E>
where
    F: Fn(u64, &'a mut [u8]) -> Fut,
    Fut: Future<Output = Result<(), E>>,
{
    assert!(piece > 0 && concurrency > 0, "pieces of {piece} bytes, {concurrency} at a time");
    let pieces = buffer.chunks_mut(piece).enumerate();
    let fetches: Vec<_> =
        pieces.map(|(index, bytes)| fetch(offset + (index * piece) as u64, bytes)).collect();
    stream::iter(fetches).buffer_unordered(concurrency).try_collect().await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn every_byte_is_fetched_once_by_few_at_a_time() {
        let content: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for (offset, length, piece) in [(0, 1000, 7), (3, 990, 100), (5, 0, 1), (999, 1, 64)] {
            let (under_way, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let mut buffer = vec![0; length];
            let filled = fill(&mut buffer, offset, (piece, 3), |at, bytes| {
                let (content, under_way, most) = (&content, &under_way, &most);
                async move {
                    most.fetch_max(
                        under_way.fetch_add(1, Ordering::Relaxed) + 1,
                        Ordering::Relaxed,
                    );
                    tokio::task::yield_now().await;
                    let at = usize::try_from(at).unwrap();
                    bytes.copy_from_slice(&content[at..at + bytes.len()]);
                    under_way.fetch_sub(1, Ordering::Relaxed);
                    Ok::<(), ()>(())
                }
            });
            filled.await.unwrap();
            let from = usize::try_from(offset).unwrap();
            assert_eq!(buffer, content[from..from + length]);
            assert!(most.load(Ordering::Relaxed) <= 3);
        }
    }
}
