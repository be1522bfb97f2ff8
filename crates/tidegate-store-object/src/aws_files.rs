//! The credentials and settings that AWS's own programs keep in `~/.aws`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{env, fs};

/// The settings of the profile in use (`AWS_PROFILE`), by their keys in those files.
pub(crate) fn profile() -> BTreeMap<String, String> {
    let from = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let profile = from("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    let place = |variable, name| {
        let named = from(variable).map(PathBuf::from);
        named.or_else(|| Some(PathBuf::from(from("HOME")?).join(".aws").join(name)))
    };
    let read = |path: Option<PathBuf>| path.and_then(|path| fs::read_to_string(path).ok());
    let mut settings = BTreeMap::new();
    if let Some(config) = read(place("AWS_CONFIG_FILE", "config")) {
        settings.extend(section(&config, &profile));
        settings.extend(section(&config, &format!("profile {profile}")));
    }
    if let Some(credentials) = read(place("AWS_SHARED_CREDENTIALS_FILE", "credentials")) {
        settings.extend(section(&credentials, &profile));
    }
    settings
}

fn section(text: &str, name: &str) -> BTreeMap<String, String> {
    let mut is_inside = false;
    let mut settings = BTreeMap::new();
    for line in text.lines().map(str::trim_end) {
        if let Some(title) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            is_inside = title.trim() == name;
        } else if is_inside
            // What is indented belongs to a setting before it.
            && !line.starts_with([' ', '\t', '#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            settings.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    settings
}

#[test]
fn a_section_is_its_own_lines() {
    let text = "[default]\nregion = a\n\n[profile x]\n# c = d\nregion=b\ns3 =\n  region = c\n[y]\nz=1\n";
    let found = section(text, "profile x");
    assert_eq!(found.get("region").map(String::as_str), Some("b"));
    assert_eq!(found.len(), 2);
    assert!(section(text, "none").is_empty());
}
