//! Taking a directory: from nobody, from a dead owner, or from a living one.
//!
//! Each turn looks at what is so and makes one step towards a `.owner` of our own; whatever others do
//! at the same time, and whatever answer is lost, shows in the next turn.

use std::time::Duration;

use hdfs_native::Client;
use tidegate_store::OwnerInfo;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::failure::{Failure, Kind};
use crate::hold::{BEATS, OWNER, find_mark, mark};
use crate::life::{Life, Process};
use crate::path;
use crate::place::{self, Placement};

/// How often the directory is looked at again when somebody else was faster. Each time means that
/// another owner came or went.
const TRIES: u32 = 50;

/// What came of trying to take a directory.
pub(crate) enum Taken {
    /// It is ours; from whom it was taken, if he lives.
    Ours(Option<OwnerInfo>),
    /// Somebody else's, who lives.
    Owned(OwnerInfo),
}

pub(crate) struct Taking<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) directory: &'a str,
    pub(crate) id: &'a str,
    /// Where the new owner's directory is prepared.
    pub(crate) new: &'a str,
}

impl Taking<'_> {
    pub(crate) async fn run(
        &self,
        owner: &OwnerInfo,
        from_the_living: bool,
    ) -> Result<Taken, Failure> {
        let mut superseded = None;
        let mut last =
            Failure::new(Kind::Exists, "others take and leave the directory all the time");
        let dot_owner = path::join(self.directory, OWNER);
        for _ in 0..TRIES {
            let now = match self.prepare(owner).await {
                Ok(Some(now)) => now,
                // Whoever was faster removed what we prepared.
                Ok(None) => continue,
                Err(failure) if failure.kind == Kind::Missing => continue,
                Err(failure) => return Err(failure),
            };
            if let Some(other) = self.other(&dot_owner).await? {
                if other.id == self.id {
                    return Ok(Taken::Ours(superseded));
                }
                let (info, is_alive) = self.look_at(&other, now, !from_the_living).await?;
                if is_alive && !from_the_living {
                    return Ok(Taken::Owned(info));
                }
                superseded = is_alive.then_some(info);
                self.cluster.delete(&other.path, true).await?;
            }
            match self.cluster.delete(&dot_owner, false).await {
                Ok(_) => {}
                Err(failure) if failure.kind == Kind::NotEmpty => continue,
                Err(failure) => return Err(failure),
            }
            let rename = async |client: Client| client.rename(self.new, &dot_owner, false).await;
            match self.cluster.once(rename).await {
                Ok(()) => return Ok(Taken::Ours(superseded)),
                // Another was faster, or removed what we prepared, or the answer was lost. What is so is
                // seen by looking.
                Err(failure)
                    if matches!(failure.kind, Kind::Exists | Kind::Missing)
                        || failure.is_transient() =>
                {
                    last = failure;
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(last)
    }

    /// Makes `.new-{id}` with our mark in it, if it is not there. What time it is for the NameNode;
    /// `None` when somebody removes it at the same time.
    async fn prepare(&self, owner: &OwnerInfo) -> Result<Option<Now>, Failure> {
        let own = format!("{}/{}", self.new, self.id);
        let text = format!("{}{}", owner.to_text(), Process::current().to_line());
        let asked = Instant::now();
        let temporary =
            place::write_temporary(self.cluster, self.directory, text.as_bytes(), true).await?;
        // Made with the name; if it is there from an earlier turn, the mark in it is as good.
        if place::place(self.cluster, &temporary, &mark(&own, 0)).await? == Placement::Gone {
            return Ok(None);
        }
        let status = self.cluster.status(&own).await?;
        Ok(status.map(|status| Now { at: status.modification_time, asked }))
    }

    async fn other(&self, dot_owner: &str) -> Result<Option<Other>, Failure> {
        let entries = self.cluster.list(dot_owner, false).await?.unwrap_or_default();
        Ok(entries.into_iter().next().map(|entry| Other {
            id: entry.path.rsplit('/').next().unwrap_or_default().to_owned(),
            path: entry.path,
            seen_at: entry.modification_time,
        }))
    }

    /// Who somebody is and whether he lives; if that cannot be told at once, and it matters, it is
    /// waited for a sign of life.
    async fn look_at(
        &self,
        other: &Other,
        now: Now,
        wait: bool,
    ) -> Result<(OwnerInfo, bool), Failure> {
        let text = self.text_of(other).await?;
        let lease = as_milliseconds(self.cluster.lease());
        let info = OwnerInfo::from_text(&text).unwrap_or_else(OwnerInfo::unknown);
        match Process::from_text(&text).map_or(Life::Unknown, |process| process.life(&other.id)) {
            Life::Lives => return Ok((info, true)),
            Life::Dead => return Ok((info, false)),
            Life::Unknown if !wait => {
                let is_recent = now.milliseconds() < other.seen_at + lease;
                return Ok((info, is_recent));
            }
            Life::Unknown => {}
        }
        // Two beats at least, for after a time without a NameNode all owners look dead.
        let earliest = Instant::now() + self.cluster.lease() / BEATS * 2;
        loop {
            match self.cluster.status(&other.path).await? {
                None => return Ok((info, false)),
                Some(status) if status.modification_time != other.seen_at => {
                    return Ok((info, true));
                }
                Some(_) => {}
            }
            let is_expired = now.milliseconds() >= other.seen_at + lease;
            if is_expired && Instant::now() >= earliest {
                return Ok((info, false));
            }
            tokio::time::sleep(self.cluster.lease() / BEATS / 4).await;
        }
    }

    async fn text_of(&self, other: &Other) -> Result<String, Failure> {
        // It is renamed while we look for it.
        for _ in 0..10 {
            let Some((_, mark)) = find_mark(self.cluster, &other.path).await? else { break };
            let read = self.cluster.transfer(async |client: Client| {
                let file = client.read(&mark).await?;
                let length = file.file_length().min(4096);
                file.read_range(0, length).await
            });
            if let Ok(bytes) = read.await {
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        Ok(String::new())
    }
}

/// The NameNode's time, as far as it is known.
#[derive(Clone, Copy)]
struct Now {
    at: u64,
    asked: Instant,
}

impl Now {
    fn milliseconds(self) -> u64 {
        self.at + as_milliseconds(self.asked.elapsed())
    }
}

fn as_milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Somebody's `.owner/{id}`.
struct Other {
    path: String,
    id: String,
    /// When he last showed that he lives, by the NameNode's clock, in milliseconds.
    seen_at: u64,
}
