//! Checks of one text file.

use std::ffi::OsStr;
use std::path::Path;

/// Lines of code without tests that a file may have, and from where it is worth a look.
const LINES_MAX: usize = 600;
const LINES_SOFT: usize = 400;

/// Kinds of text that are held to the rules about words and white space.
const TEXT: [&str; 6] = ["rs", "md", "toml", "yml", "yaml", "sh"];

/// What was found in a file; each line continues the file's name.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<String>,
    pub(crate) hints: Vec<String>,
}

/// Checks the file `name`, relative to the repository's root.
pub(crate) fn check(name: &str, text: &str) -> Findings {
    let mut findings = Findings::default();
    let extension = Path::new(name).extension().and_then(OsStr::to_str).unwrap_or_default();
    if !TEXT.contains(&extension) && !name.starts_with(".ci/") {
        return findings;
    }
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if line.trim_end() != line {
            findings.problems.push(format!(":{number}: white space at the end of the line"));
        }
        if line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") {
            findings.problems.push(format!(":{number}: two versions, of which a merge left both"));
        }
        for word in unfinished().iter().filter(|word| line.contains(**word)) {
            findings.problems.push(format!(":{number}: `{word}` is unfinished work"));
        }
        for place in machine_paths().iter().filter(|place| names_path(line, place)) {
            findings.problems.push(format!(":{number}: `{place}` is a place on one machine"));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        findings.problems.push(": the last line does not end".to_owned());
    }
    if extension == "rs" {
        check_rust(name, text, &mut findings);
    }
    findings
}

/// A file's lines up to its test module, if it has one.
pub(crate) fn without_tests(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| *line != "#[cfg(test)]")
}

fn check_rust(name: &str, text: &str, findings: &mut Findings) {
    // `tests.rs` is named after what it is.
    let is_test = name.contains("/tests/") || name.ends_with("/tests.rs");
    if !text.starts_with("//!") && !name.ends_with("/tests.rs") {
        findings.problems.push(":1: open the file with what it is: `//! …`".to_owned());
    }
    let lines = without_tests(text).count();
    if !is_test && lines > LINES_MAX {
        findings.problems.push(format!(": {lines} lines of code, {LINES_MAX} are allowed"));
    } else if !is_test && lines > LINES_SOFT {
        findings.hints.push(format!(": {lines} lines of code, more than {LINES_SOFT}"));
    }
}

// Put together here, so that this file passes its own check.
fn unfinished() -> [&'static str; 4] {
    [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("dbg", "!("),
    ]
}

fn machine_paths() -> [&'static str; 3] {
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")]
}

/// Whether `line` names the absolute path `place`; `target/work/` in the middle of one is none.
fn names_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-}*".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::check;

    fn problems(name: &str, text: &str) -> Vec<String> {
        check(name, text).problems
    }

    #[test]
    fn a_good_file_passes() {
        assert!(problems("crates/a/src/lib.rs", "//! A noun.\n\nfn f() {}\n").is_empty());
        assert!(problems("data.bin", "anything \n").is_empty());
    }

    #[test]
    fn each_rule_is_noticed() {
        assert_eq!(problems("a.rs", "fn f() {}\n").len(), 1, "no opening");
        assert_eq!(problems("a.md", "words \n"), [":1: white space at the end of the line"]);
        assert_eq!(problems("a.md", "words").len(), 1, "no final line end");
        assert_eq!(problems("a.md", "<<<<<<< a\nx\n=======\ny\n>>>>>>> b\n").len(), 2, "a merge");
        assert_eq!(problems("a.md", concat!("a\nsee /ro", "ot/x\n")).len(), 1, "a machine's path");
        assert_eq!(problems("a.md", "file:///home-made\n").len(), 0);
        assert_eq!(problems("a.rs", concat!("//! x\n to", "do!()\n")).len(), 1, "unfinished");
    }

    #[test]
    fn long_files_are_noticed_tests_do_not_count() {
        let code = |lines: usize| format!("//! x\n{}", "fn f() {}\n".repeat(lines));
        assert_eq!(problems("a.rs", &code(599)).len(), 0);
        assert_eq!(problems("a.rs", &code(600)).len(), 1);
        assert_eq!(check("a.rs", &code(500)).hints.len(), 1);
        let tests = format!("//! x\n#[cfg(test)]\n{}", "x\n".repeat(700));
        assert_eq!(problems("a.rs", &tests).len(), 0);
        assert_eq!(problems("crates/a/tests/it/main.rs", &code(700)).len(), 0);
    }
}
