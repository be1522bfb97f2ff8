//! Finding and checking the checkpoint to start from, with its progress shown on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tidegate_coordinator::{LocatedCheckpoint, RestoreError, locate, verify_with};
use tidegate_store::StorageRegistry;

/// Finds the checkpoint and reads every file that it refers to. Shown on standard error if that is
/// a terminal, and if it takes longer than a moment.
pub(crate) fn locate_and_verify(
    registry: &StorageRegistry,
    path: &str,
) -> Result<LocatedCheckpoint, RestoreError> {
    // Hidden by itself where standard error is no terminal.
    let bar = ProgressBar::new_spinner();
    bar.set_message("looking for the checkpoint");
    bar.enable_steady_tick(Duration::from_millis(100));
    let located = locate(registry, path).and_then(|located| {
        let style = ProgressStyle::with_template(
            "{spinner} verifying {bar:30} {binary_bytes} of {binary_total_bytes} ({eta})",
        );
        bar.set_style(style.expect("a sound template"));
        verify_with(&located, &mut |progress| {
            bar.set_length(progress.total);
            bar.set_position(progress.verified);
        })?;
        Ok(located)
    });
    bar.finish_and_clear();
    for skipped in located.iter().flat_map(|located| &located.skipped) {
        let reason = crate::launch::chain(&skipped.error);
        tracing::warn!("passed over {}: {reason}", skipped.path);
    }
    located
}
