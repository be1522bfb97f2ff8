//! `tidegate run`: what reaches the job, and how both end.

use std::fs;
use std::io::Read;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::tool::{Place, eventually, is_alive};

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn we_end_as_the_job_does_and_its_output_passes_through() {
    let place = Place::new();
    place.script("job", "echo out $1; echo err >&2; exit $2");
    for code in [0, 1, 3, 42, 255] {
        let code_text = code.to_string();
        let outcome = place.outcome(&["run", "./job", "a b", &code_text]);
        assert_eq!(outcome, (code, "out a b\n".to_owned(), "err\n".to_owned()));
    }
    place.script("killed", "kill -9 $$");
    let (code, _, error) = place.outcome(&["run", "./killed"]);
    assert_eq!(code, 137);
    assert_eq!(error, "tidegate: ./killed was ended by signal 9\n");
}

#[test]
fn standard_input_passes_through() {
    let place = Place::new();
    place.script("job", "cat");
    fs::write(place.path().join("input"), "line\n").unwrap();
    let input = fs::File::open(place.path().join("input")).unwrap();
    let output = place.tidegate(&["run", "./job"]).stdin(input).output().unwrap();
    assert_eq!(output.stdout, b"line\n");
}

#[test]
fn the_job_is_handed_its_options_and_its_arguments() {
    let place = Place::new();
    place.script("job", "echo \"$TIDEGATE_RUN_OPTIONS\"; echo \"$@\"");
    let arguments = [
        "run",
        "-s",
        "x/chk-3",
        "-n",
        "-p",
        "4",
        "-D",
        "a.b=c = d",
        "-D",
        "e=f",
        "--conf-dir",
        "etc",
        "./job",
        "--",
        "-p",
        "9",
        "--help",
    ];
    let (code, out, error) = place.outcome(&arguments);
    assert_eq!((code, error.as_str()), (0, ""));
    let (options, rest) = out.split_once('\n').unwrap();
    assert_eq!(rest, "-p 9 --help\n");
    let options: serde_json::Value = serde_json::from_str(options).unwrap();
    let here = place.path().canonicalize().unwrap();
    assert_eq!(options["restore_path"], here.join("x/chk-3").to_str().unwrap());
    assert_eq!(options["conf_dir"], here.join("etc").to_str().unwrap());
    assert_eq!(options["allow_non_restored"], true);
    assert_eq!(options["parallelism"], 4);
    assert_eq!(options["overrides"], serde_json::json!([["a.b", "c = d"], ["e", "f"]]));
    assert!(options["supervisor_process_id"].is_u64());
}

#[test]
fn a_job_that_cannot_be_started_is_a_usage_error() {
    let place = Place::new();
    fs::write(place.path().join("text"), "no program").unwrap();
    fs::write(place.path().join("here"), "").unwrap();
    place.script("no-interpreter", "");
    fs::write(place.path().join("no-interpreter"), "#!/no/such/interpreter\n").unwrap();
    for (arguments, told) in [
        (&["run", "./absent"][..], "the job program ./absent cannot be run: No such file"),
        (&["run", "./text"], "./text is not executable"),
        (&["run", "."], "there is no program . in $PATH"),
        (&["run", "./"], "the job program ./ is not a file"),
        (&["run", "here"], "to run the one here write ./here"),
        (&["run", "surely-no-such-program"], "there is no program surely-no-such-program in $PATH"),
        (&["run", "./no-interpreter"], "the job program ./no-interpreter cannot be run"),
        (&["run"], "required arguments"),
        (&["run", "-D", "novalue", "./job"], "write -D key=value"),
        (&["run", "-p", "0", "./job"], "0 is not in 1..=32768"),
        (&["dance"], "unrecognized subcommand"),
    ] {
        let (code, out, error) = place.outcome(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {error}");
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
}

#[test]
fn the_exit_codes_are_in_the_help() {
    let place = Place::new();
    for arguments in [&["--help"][..], &["run", "--help"]] {
        let (code, out, _) = place.outcome(arguments);
        assert_eq!(code, 0);
        assert!(out.contains("3  the checkpoint is damaged"), "{out}");
        assert!(!out.contains("supervised"), "{out}");
    }
}

/// Starts a job that writes its process id, and waits for it.
fn start(place: &Place, body: &str) -> (Child, String) {
    place.script(
        "job",
        &format!("{body}\necho $$ > id.tmp; mv id.tmp id; sleep 20 >/dev/null 2>&1 & wait; wait"),
    );
    let child =
        place.tidegate(&["run", "./job"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let id = place.path().join("id");
    eventually("the job starts", || id.exists());
    (child.unwrap(), fs::read_to_string(id).unwrap())
}

#[test]
fn the_job_does_not_survive_us() {
    for signal in [Signal::KILL, Signal::ABORT] {
        let place = Place::new();
        // A program that knows nothing of Tidegate and wants to live.
        let (mut child, job) = start(&place, "trap '' INT TERM HUP");
        assert!(is_alive(&job));
        send(&child, signal);
        child.wait().unwrap();
        eventually("the job dies", || !is_alive(&job));
    }
}

#[test]
fn signals_reach_the_job_and_it_decides() {
    for (signal, name, code) in [(Signal::TERM, "TERM", 6), (Signal::INT, "INT", 5)] {
        let place = Place::new();
        let (mut child, job) =
            start(&place, &format!("trap 'echo got {name}; exit {code}' {name}"));
        // We are no terminal's foreground here, so nobody else tells the job.
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(code), "{name}");
        assert!(!is_alive(&job));
        let mut out = String::new();
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        assert_eq!(out, format!("got {name}\n"));
    }
}

#[test]
fn a_signal_that_the_job_outlives_does_not_end_us() {
    let place = Place::new();
    let (mut child, job) = start(&place, "trap 'touch heard' TERM");
    send(&child, Signal::TERM);
    let heard = place.path().join("heard");
    eventually("the job hears", || heard.exists());
    assert!(child.try_wait().unwrap().is_none());
    assert!(is_alive(&job));
    send(&child, Signal::KILL);
    child.wait().unwrap();
    eventually("the job dies", || !is_alive(&job));
}
