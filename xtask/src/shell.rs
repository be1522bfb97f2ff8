//! Running other programs: every command is printed before it runs, from the repository's root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// The repository's root. Cargo sets the variable for `cargo xtask`, so a moved clone is found too.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().expect("xtask lies in the repository's root").to_owned()
}

/// `cargo` with the arguments given, to be run in the repository's root.
pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments);
    command
}

/// Prints the command, runs it, and fails when it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Whether the command can be started and succeeds; prints nothing.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The command as a person would type it in the repository's root.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={}", name.display(), quoted(&value.to_string_lossy())));
        }
    }
    let program = Path::new(command.get_program());
    words.push(match (program.strip_prefix(root()), program.file_name()) {
        (Ok(relative), _) => relative.display().to_string(),
        (Err(_), Some(name)) => name.display().to_string(),
        (Err(_), None) => program.display().to_string(),
    });
    words.extend(command.get_args().map(|argument| quoted(&near(&argument.to_string_lossy()))));
    words.join(" ")
}

/// A text with the root's path made relative; as `$PWD` where it stands inside of a word.
pub(crate) fn near(text: &str) -> String {
    let root = root().display().to_string();
    match text.strip_prefix(&root) {
        Some(rest) if rest.starts_with('/') => rest[1..].to_owned(),
        _ => text.replace(&format!("{root}/"), "$PWD/"),
    }
}

fn quoted(word: &str) -> String {
    if word.contains(' ') { format!("\"{word}\"") } else { word.to_owned() }
}

#[test]
fn a_command_is_shown_as_typed() {
    let mut command = cargo(["doc", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings").arg(root().join("target"));
    command.arg(format!("file://{}", root().join("x").display()));
    let expected = "RUSTDOCFLAGS=\"-D warnings\" cargo doc --no-deps target file://$PWD/x";
    assert_eq!(shown(&command), expected);
}
