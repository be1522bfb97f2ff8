//! `tidegate config`: every setting with its value and its origin.

use std::fs;

use crate::tool::Place;

#[test]
fn each_value_is_shown_with_where_it_comes_from() {
    let place = Place::new();
    fs::create_dir(place.path().join("conf")).unwrap();
    let yaml = "state.checkpoints.dir: /a\nexecution:\n  checkpointing:\n    interval: 10 s\n\
                parallelism.default: 2\nparalelism: 3\n";
    fs::write(place.path().join("conf/tidegate.yaml"), yaml).unwrap();
    let options = ["-p", "4", "-D", "execution.checkpointing.interval=1 s"];
    let (code, out, error) = place.outcome(&[&["config"], &options[..]].concat());
    assert_eq!(code, 0);
    let told = "conf/tidegate.yaml:6: unknown key \"paralelism\" has no effect";
    assert!(error.contains(told), "{error}");
    let row = |key: &str| {
        let row = out.lines().find(|line| line.starts_with(&format!("{key} "))).unwrap();
        row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
    };
    for (key, value, from) in [
        ("execution.checkpointing.dir", "/a", "conf/tidegate.yaml:1 as state.checkpoints.dir"),
        ("execution.checkpointing.interval", "1 s", "-D, over conf/tidegate.yaml:4"),
        ("parallelism.default", "4", "-p, over conf/tidegate.yaml:5"),
        ("execution.checkpointing.savepoint-dir", "-", "default"),
        ("pipeline.max-parallelism", "128", "default"),
    ] {
        assert_eq!(row(key), [key, value, from]);
    }

    let json = [&["config", "--json"], &options[..]].concat();
    let settings: serde_json::Value = serde_json::from_str(&place.outcome(&json).1).unwrap();
    let of = |key: &str| settings.as_array().unwrap().iter().find(|s| s["key"] == key).unwrap();
    let checkpoints = of("execution.checkpointing.dir");
    assert_eq!(checkpoints["line"], 1);
    assert_eq!(checkpoints["file"], "conf/tidegate.yaml");
    assert_eq!(checkpoints["deprecated"], serde_json::json!(["state.checkpoints.dir"]));
    assert_eq!(of("parallelism.default")["over"], "conf/tidegate.yaml:5");
    assert!(of("execution.checkpointing.savepoint-dir")["value"].is_null());
}

#[test]
fn a_bad_value_is_shown_and_told() {
    let place = Place::new();
    let (code, out, error) = place.outcome(&["config", "-D", "parallelism.default=none"]);
    assert_eq!(code, 2);
    assert!(
        out.lines().any(|line| line.starts_with("parallelism.default") && line.contains("none"))
    );
    assert!(error.contains("-D: parallelism.default: \"none\" is not accepted"), "{error}");
}

// Wherever settings are shown, and whatever goes wrong with them.
#[test]
fn secrets_are_shown_nowhere() {
    let place = Place::new();
    fs::create_dir(place.path().join("conf")).unwrap();
    let yaml = "s3:\n  secret-key: hush-file\n  access-key: name\n  endpoint: http://127.0.0.1:1\n\
                fs.azure.account.key.x.blob.core.windows.net: hush-azure\n";
    fs::write(place.path().join("conf/tidegate.yaml"), yaml).unwrap();
    let over = ["-D", "s3.session-token=hush-flag"];
    let mut told = Vec::new();
    for command in [
        &["config"][..],
        &["config", "--json"],
        &["inspect", "s3://bucket/x/_metadata/", "-D", "s3.retry-timeout=100ms"],
        &["inspect", "s3://user:hush-uri@bucket/x"],
        &["savepoint", "--dispose", "s3://user:hush-uri@bucket/x"],
        &["run", "-s", "s3://user:hush-uri@bucket/x", "/bin/true"],
        &["config", "-D", "s3.secretkey=hush-unknown"],
        &["config", "-D", "state.savepoints.dir=s3://user:hush-dir@bucket"],
    ] {
        // Before the program of `run`, whose arguments the rest would be.
        let all = [&command[..1], &over, &command[1..]].concat();
        let (_, out, error) = place.outcome(&all);
        told.push(format!("{all:?}:\n{out}{error}"));
    }
    let told = told.join("\n");
    let shown: Vec<_> = told.lines().filter(|line| !line.starts_with('[')).collect();
    let leaks: Vec<_> = shown.iter().filter(|line| line.contains("hush")).collect();
    assert_eq!(leaks, Vec::<&&str>::new());
    for expected in
        ["s3.secret-key", "******", "http://127.0.0.1:1", "a s3:// URI holds a password"]
    {
        assert!(told.contains(expected), "{expected}: {told}");
    }
}
