//! `tidegate config`: the settings in force, and where each came from.

use serde::Serialize;
use tidegate_runtime::config::{ConfigSources, Configuration, Origin, Setting};
use tidegate_runtime::run_options::RunOptions;

use crate::arguments::ConfigArguments;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::stores;

/// A setting, as `--json` shows it.
#[derive(Serialize)]
struct SettingReport {
    key: String,
    deprecated: &'static [&'static str],
    /// Absent when it has none.
    value: Option<String>,
    /// `default`, `-D`, `-p`, or `file:line`.
    origin: String,
    file: Option<String>,
    line: Option<u64>,
    /// Where another value was set, which this one goes over.
    over: Option<String>,
}

pub(crate) fn config(arguments: &ConfigArguments) -> Result<u8, Failure> {
    let options = RunOptions {
        overrides: arguments.overrides.clone(),
        conf_dir: arguments.conf_dir.clone(),
        parallelism: arguments.parallelism,
        ..RunOptions::default()
    };
    let configuration =
        Configuration::load(&ConfigSources::of_run(&options)).map_err(Failure::usage)?;
    for warning in configuration.warnings() {
        output::note(&output::printable(&warning.to_string()));
    }
    if let Ok(config) = configuration.job_config() {
        for warning in configuration.unread_by(&config.registry(stores::all())) {
            output::note(&output::printable(&warning.to_string()));
        }
    }
    let settings = configuration.settings();
    if arguments.json {
        let reports: Vec<SettingReport> = settings.iter().map(report).collect();
        output::print_json(&reports)?;
    } else {
        output::print(&table(&settings))?;
    }
    // Shown first: the table helps to put right what is wrong.
    configuration.job_config().map_err(Failure::usage)?;
    Ok(0)
}

fn report(setting: &Setting) -> SettingReport {
    let (file, line) = match &setting.origin {
        Origin::File { path, line } => (Some(path.display().to_string()), Some(*line)),
        _ => (None, None),
    };
    SettingReport {
        key: setting.key.to_string(),
        deprecated: setting.deprecated,
        value: setting.value.as_deref().map(str::to_owned),
        origin: setting.origin.to_string(),
        file,
        line,
        over: setting.over.as_ref().map(ToString::to_string),
    }
}

fn table(settings: &[Setting]) -> String {
    let mut table = Table::new(["SETTING", "VALUE", "FROM"]);
    for setting in settings {
        let mut from = setting.origin.to_string();
        if *setting.written_as != *setting.key {
            from = format!("{from} as {}", setting.written_as);
        }
        if let Some(over) = &setting.over {
            from = format!("{from}, over {over}");
        }
        let value = setting.value.as_deref().unwrap_or("-").to_owned();
        table.row([setting.key.to_string(), value, from]);
    }
    table.render("")
}
