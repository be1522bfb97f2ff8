//! A checkpoint as people read it.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use crate::inspect::report::{CheckpointReport, FileStatus, OperatorReport};
use crate::output::{Table, duration, moment, printable, size};

pub(crate) fn render(report: &CheckpointReport) -> String {
    let mut text = head(report);
    for operator in &report.operators {
        text.push('\n');
        text.push_str(&of_operator(operator));
    }
    if !report.files.is_empty() {
        text.push('\n');
        text.push_str(&files(report));
    }
    for skipped in &report.skipped {
        add(&mut text, format_args!("\npassed over: {}\n", printable(skipped)));
    }
    text.push('\n');
    text.push_str(&verdict(report));
    text
}

fn head(report: &CheckpointReport) -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let age = now.saturating_sub(Duration::from_millis(report.created_at_ms));
    let mut text =
        format!("{} {} of job {}\n", report.kind, report.checkpoint, printable(&report.job_name));
    let lengths = report.files.iter().map(|file| file.length);
    let in_files = lengths.fold(0, u64::saturating_add);
    let place = match report.files.len() {
        0 => "all of it in the metadata".to_owned(),
        1 => format!("{} of it in one file", size(in_files)),
        count => format!("{} of it in {count} files", size(in_files)),
    };
    for (name, value) in [
        ("job id", report.job_id.clone()),
        ("path", printable(&report.path)),
        ("created", format!("{} ({} ago)", moment(report.created_at_ms), duration(age))),
        ("attempt", report.attempt.to_string()),
        ("state", format!("{}, {place}", size(report.state_length))),
    ] {
        add(&mut text, format_args!("  {name:8}{value}\n"));
    }
    text
}

fn of_operator(operator: &OperatorReport) -> String {
    let mut text = format!(
        "operator {}: parallelism {} of at most {}, {}",
        printable(&operator.uid),
        operator.parallelism,
        operator.max_parallelism,
        size(operator.state_length)
    );
    if operator.finished_subtasks > 0 {
        add(&mut text, format_args!(", {} subtasks finished", operator.finished_subtasks));
    }
    text.push('\n');
    let mut table = Table::new(["STATE", "KIND", "TYPES", "CONTENT"]);
    for state in &operator.states {
        let content = state.list.as_ref().map_or_else(String::new, |list| {
            format!("{} items, {}, {}", list.items, size(list.length), list.distribution)
        });
        table.row([state.name.clone(), state.kind.clone(), state.types.clone(), content]);
    }
    if !table.is_empty() {
        text.push_str(&table.render("  "));
    }
    text
}

fn files(report: &CheckpointReport) -> String {
    let mut table = Table::new(["FILE", "SIZE", "OPERATOR", "STATUS"]);
    for file in &report.files {
        let status = match (file.status, &file.problem) {
            (FileStatus::Ok, _) => "ok".to_owned(),
            (FileStatus::Missing, _) => "MISSING".to_owned(),
            (FileStatus::Damaged, Some(problem)) => format!("DAMAGED: {problem}"),
            (_, problem) => format!("UNREADABLE: {}", problem.as_deref().unwrap_or("no reason")),
        };
        table.row([file.reference.clone(), size(file.length), file.operator.clone(), status]);
    }
    table.render("")
}

fn verdict(report: &CheckpointReport) -> String {
    let bad = report.files.iter().filter(|file| file.status != FileStatus::Ok).count();
    match (report.usable, report.files.len()) {
        (true, 0) => "usable: the metadata is undamaged and needs no other file\n".to_owned(),
        (true, _) => "usable: the metadata and every file are undamaged\n".to_owned(),
        (false, all) => format!(
            "NOT usable: {bad} of {all} files are missing or damaged; put them back, or resume \
             from another checkpoint\n"
        ),
    }
}

fn add(text: &mut String, addition: std::fmt::Arguments<'_>) {
    text.write_fmt(addition).expect("a String takes everything");
}
