//! How often, and with which random choices.

fn runs(default: u64) -> u64 {
    std::env::var("TIDEGATE_KILL_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

pub(crate) fn seeds(default_runs: u64, salt: u64) -> Vec<u64> {
    if let Some(seed) = std::env::var("TIDEGATE_SEED").ok().and_then(|n| n.parse().ok()) {
        return vec![seed];
    }
    let base = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let base = u64::from(base.subsec_nanos()) ^ (base.as_secs() << 20) ^ (salt << 50);
    (0..runs(default_runs)).map(|run| base.wrapping_add(run)).collect()
}
