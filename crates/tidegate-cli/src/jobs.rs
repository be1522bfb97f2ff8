//! Finds the running job that somebody means.

use anyhow::{Context, Result, bail};
use tidegate_runtime::control::{JobEntry, list_jobs, runtime_directory};

/// All running jobs of this user, oldest first.
pub(crate) fn running() -> Result<Vec<JobEntry>> {
    list_jobs(&runtime_directory()).context("running jobs cannot be listed")
}

/// The one job with this id, an id that begins so, or this name.
pub(crate) fn find(wanted: &str, jobs: Vec<JobEntry>) -> Result<JobEntry> {
    let lower = wanted.to_ascii_lowercase();
    let is_meant = |job: &JobEntry| job.job_name == wanted || job.job_id.starts_with(&lower);
    let mut meant: Vec<JobEntry> =
        jobs.into_iter().filter(|job| !wanted.is_empty() && is_meant(job)).collect();
    match meant.len() {
        0 => bail!("no running job has the id or name {wanted:?}; `tidegate list` shows them"),
        1 => Ok(meant.remove(0)),
        count => {
            let found = meant.iter().map(|job| format!("{} ({})", job.job_id, job.job_name));
            let found = found.collect::<Vec<_>>().join(", ");
            bail!("{wanted:?} means {count} running jobs; name one by its id: {found}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str, name: &str) -> JobEntry {
        let text = format!(
            "{{\"job_id\": {id:?}, \"job_name\": {name:?}, \"process_id\": 1, \
             \"process_start_time\": 1, \"started_at_ms\": 1}}"
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_job_is_found_when_just_one_is_meant() {
        let jobs = [job("aa11", "words"), job("aa22", "flights"), job("bb11", "words")];
        for (wanted, expected) in [
            ("aa1", Some("aa11")),
            ("AA22", Some("aa22")),
            ("b", Some("bb11")),
            ("flights", Some("aa22")),
            ("aa", None),
            ("words", None),
            ("flight", None),
            ("", None),
        ] {
            let found = find(wanted, jobs.to_vec()).ok().map(|job| job.job_id);
            assert_eq!(found.as_deref(), expected, "{wanted}");
        }
    }
}
