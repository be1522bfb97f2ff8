//! What is known of a cluster before it is reached: its address, Hadoop's own settings, patience.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, io};

use tidegate_store::{Determinacy, Operation, StorageError, StorageSettings};

/// Hadoop's keys that this crate reads itself, all others are the client's.
const DEFAULT_FILE_SYSTEM: &str = "fs.defaultFS";
const REPLICATION: &str = "dfs.replication";
const BLOCK_SIZE: &str = "dfs.blocksize";

/// What holds unless somebody says otherwise. Hadoop's own defaults would lose a file when one of
/// three DataNodes dies and there is no fourth, and wait a minute for one that hangs.
const DEFAULTS: [(&str, &str); 2] = [
    ("dfs.client.block.write.replace-datanode-on-failure.best-effort", "true"),
    ("dfs.client.socket-timeout", "20000"),
];

/// How a cluster is reached and how long is waited for it.
///
/// Hadoop's settings come from `core-site.xml` and `hdfs-site.xml` in [`conf_dir`](Self::conf_dir)
/// and then from [`properties`](Self::properties), the later the stronger.
#[derive(Clone, Debug)]
pub struct HdfsOptions {
    /// The directory of the site files; without it `HADOOP_CONF_DIR`, then `$HADOOP_HOME/etc/hadoop`.
    pub conf_dir: Option<PathBuf>,
    /// Hadoop's settings by their own keys, such as `dfs.replication` or `dfs.ha.namenodes.prod`.
    pub properties: BTreeMap<String, String>,
    /// The user on the cluster; without it `HADOOP_USER_NAME`, then the user of this process.
    pub user: Option<String>,
    /// How long is waited for one answer of the NameNode.
    pub call_timeout: Duration,
    /// How long is waited for a file's bytes to move on, to or from the DataNodes.
    pub transfer_timeout: Duration,
    /// How long a call is repeated that failed for a reason that may pass.
    pub retry_timeout: Duration,
    /// After this time without a sign of life the owner of a directory is taken for dead, if he is
    /// not on this machine, where it is known. The same for all who use the directory.
    pub lease: Duration,
}

impl Default for HdfsOptions {
    fn default() -> Self {
        Self {
            conf_dir: None,
            properties: BTreeMap::new(),
            user: None,
            call_timeout: Duration::from_secs(20),
            transfer_timeout: Duration::from_secs(45),
            retry_timeout: Duration::from_secs(60),
            lease: Duration::from_secs(15),
        }
    }
}

impl HdfsOptions {
    /// The keys of our configuration that [`from_settings`](Self::from_settings) reads; one that ends
    /// in a dot stands for all that begin so.
    pub const KEYS: &[&str] = &[
        "hdfs.conf-dir",
        "fs.hdfs.hadoopconf",
        "hdfs.user",
        "hdfs.call-timeout",
        "hdfs.transfer-timeout",
        "hdfs.retry-timeout",
        "hdfs.lease",
        DEFAULT_FILE_SYSTEM,
        "dfs.",
        "flink.hadoop.",
    ];

    /// What the configuration says: `hdfs.conf-dir`, `hdfs.user`, the time-outs, and Hadoop's settings
    /// as `dfs.…` or, with any key, as `flink.hadoop.…`.
    ///
    /// Fails with [`StorageError::Io`] when a time-out is none.
    pub fn from_settings(settings: &StorageSettings) -> Result<Self, StorageError> {
        let conf_dir = settings.first_of(&["hdfs.conf-dir", "fs.hdfs.hadoopconf"]);
        let mut options = Self {
            conf_dir: conf_dir.map(PathBuf::from),
            user: settings.get("hdfs.user").map(str::to_owned),
            ..Self::default()
        };
        for (key, timeout) in [
            ("hdfs.call-timeout", &mut options.call_timeout),
            ("hdfs.transfer-timeout", &mut options.transfer_timeout),
            ("hdfs.retry-timeout", &mut options.retry_timeout),
            ("hdfs.lease", &mut options.lease),
        ] {
            let Some(text) = settings.get(key) else { continue };
            *timeout =
                duration(text).ok_or_else(|| not_accepted(key, "a duration such as 20 s"))?;
        }
        let own = settings.below("dfs.").map(|(key, value)| (format!("dfs.{key}"), value));
        let default = settings.get(DEFAULT_FILE_SYSTEM);
        let default = default.map(|value| (DEFAULT_FILE_SYSTEM.to_owned(), value));
        let flinks = settings.below("flink.hadoop.").map(|(key, value)| (key.to_owned(), value));
        let all = own.chain(default).chain(flinks);
        options.properties = all.map(|(key, value)| (key, value.to_owned())).collect();
        Ok(options)
    }

    /// All of Hadoop's settings that hold: defaults, site files, properties.
    pub(crate) fn hadoop(&self) -> Result<BTreeMap<String, String>, StorageError> {
        let mut all: BTreeMap<String, String> =
            DEFAULTS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        if let Some(directory) = self.directory() {
            for file in ["core-site.xml", "hdfs-site.xml"] {
                all.extend(site_file(&directory.join(file))?);
            }
        }
        all.extend(self.properties.clone());
        Ok(all)
    }

    /// The directory of the site files, if there is one.
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        let from = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || from("HADOOP_HOME").map(|home| home.join("etc/hadoop"));
        self.conf_dir.clone().or_else(|| from("HADOOP_CONF_DIR")).or_else(home)
    }
}

/// What of Hadoop's settings the writer of a file decides.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FileDefaults {
    pub(crate) replication: Option<u32>,
    pub(crate) block_size: Option<u64>,
}

impl FileDefaults {
    pub(crate) fn of(hadoop: &BTreeMap<String, String>) -> Result<Self, StorageError> {
        let number = |key: &'static str, what| match hadoop.get(key) {
            None => Ok(None),
            Some(text) => size(text).map(Some).ok_or_else(|| not_accepted(key, what)),
        };
        let replication = number(REPLICATION, "a number of replicas")?;
        let replication = replication.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        Ok(Self { replication, block_size: number(BLOCK_SIZE, "a size such as 128m")? })
    }
}

/// The properties of one file of Hadoop's configuration; none when there is no such file.
fn site_file(path: &Path) -> Result<Vec<(String, String)>, StorageError> {
    let failed = |error| {
        let path = path.display().to_string();
        StorageError::from_io(Operation::Read, path, Determinacy::Determinate, error)
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(&text, options)
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))?;
    let text_of = |property: roxmltree::Node<'_, '_>, name| {
        let child = property.children().find(|child| child.has_tag_name(name))?;
        Some(child.text().unwrap_or_default().trim().to_owned())
    };
    let properties = document.root_element().children();
    let properties = properties.filter(|child| child.has_tag_name("property"));
    Ok(properties.filter_map(|p| Some((text_of(p, "name")?, text_of(p, "value")?))).collect())
}

fn not_accepted(key: &'static str, accepted: &str) -> StorageError {
    let error = io::Error::new(io::ErrorKind::InvalidInput, format!("{accepted} is accepted"));
    let key = format!("the setting {key}");
    StorageError::from_io(Operation::Read, key, Determinacy::Determinate, error)
}

/// A whole number and a unit, milliseconds if there is none.
fn duration(text: &str) -> Option<Duration> {
    let (count, unit) = quantity(text)?;
    let milliseconds = match unit {
        "ms" | "" => 1,
        "s" | "sec" | "second" | "seconds" => 1_000,
        "min" | "m" | "minute" | "minutes" => 60_000,
        _ => return None,
    };
    count.checked_mul(milliseconds).filter(|ms| *ms > 0).map(Duration::from_millis)
}

/// A size in Hadoop's notation: `134217728` or `128m`.
fn size(text: &str) -> Option<u64> {
    let (count, unit) = quantity(text)?;
    let shift = match unit {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        _ => return None,
    };
    count.checked_mul(1 << shift).filter(|size| *size > 0)
}

fn quantity(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_later_is_stronger() {
        let directory = tempfile::tempdir().unwrap();
        let site = "<?xml version=\"1.0\"?><configuration>
            <property><name>fs.defaultFS</name><value> hdfs://prod </value></property>
            <property><name>dfs.client.socket-timeout</name><value>7000</value></property>
            <property><name>dfs.replication</name><value>5</value><final>true</final></property>
            </configuration>";
        fs::write(directory.path().join("core-site.xml"), site).unwrap();
        let settings = StorageSettings::new([
            ("hdfs.conf-dir", directory.path().to_str().unwrap()),
            ("dfs.replication", "2"),
            ("flink.hadoop.ipc.client.connect.timeout", "1"),
            ("hdfs.call-timeout", "5 s"),
        ]);
        let options = HdfsOptions::from_settings(&settings).unwrap();
        assert_eq!(options.call_timeout, Duration::from_secs(5));
        let hadoop = options.hadoop().unwrap();
        assert_eq!(hadoop["fs.defaultFS"], "hdfs://prod");
        assert_eq!(hadoop["dfs.client.socket-timeout"], "7000", "over the default");
        assert_eq!(hadoop["ipc.client.connect.timeout"], "1");
        assert_eq!(hadoop[DEFAULTS[0].0], "true");
        assert_eq!(FileDefaults::of(&hadoop).unwrap().replication, Some(2), "over the site");
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("hdfs-site.xml"), "<configuration>").unwrap();
        let options =
            HdfsOptions { conf_dir: Some(directory.path().into()), ..HdfsOptions::default() };
        let error = options.hadoop().unwrap_err();
        assert!(error.to_string().contains("hdfs-site.xml"), "{error}");
        let settings = StorageSettings::new([("hdfs.retry-timeout", "soon")]);
        let error = HdfsOptions::from_settings(&settings).unwrap_err();
        assert!(error.to_string().contains("hdfs.retry-timeout"), "{error}");
        let hadoop = BTreeMap::from([(BLOCK_SIZE.to_owned(), "big".to_owned())]);
        assert!(FileDefaults::of(&hadoop).is_err());
        assert_eq!(size("128m"), Some(1 << 27));
    }
}
