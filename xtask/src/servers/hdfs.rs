//! HDFS: a NameNode and two DataNodes of Hadoop 2.7.3, from the jars inside PyPI's pyspark 2.4.8.
//!
//! The archive has the servers' classes, and all that they need but the folders of their web pages,
//! for which empty ones do. The REST interface needs classes that are not there, and is off.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::http;
use super::place::{Place, Variables, free_ports, quietly};
use crate::shell::succeeds;

pub(super) const RELEASE: &str = "hdfs-2.7.3";
pub(super) const PROCESSES: &[&str] = &["datanode-1", "datanode-2", "namenode"];

const DATANODES: usize = 2;
const ARCHIVE: &str = "pyspark-2.4.8";
const SERVER: &str = "org.apache.hadoop.hdfs.server";
/// The beginnings of the jars' names that the servers need; without `javax.ws.rs-api` the NameNode starts
/// and then fails every call.
const JARS: [&str; 40] = [
    "hadoop-annotations",
    "hadoop-auth",
    "hadoop-common",
    "hadoop-hdfs",
    "commons-cli-1",
    "commons-codec",
    "commons-collections",
    "commons-configuration",
    "commons-io",
    "commons-lang-2",
    "commons-logging",
    "commons-httpclient",
    "commons-net",
    "commons-compress",
    "commons-math3",
    "guava",
    "jetty-6",
    "jetty-util-6",
    "javax.servlet-api",
    "javax.ws.rs-api",
    "jsp-api",
    "log4j-1",
    "slf4j-api",
    "slf4j-log4j12",
    "protobuf-java",
    "netty-3",
    "netty-all",
    "htrace-core",
    "leveldbjni",
    "xmlenc",
    "jackson-core-asl",
    "jackson-mapper-asl",
    "xercesImpl",
    "jsr305",
    "gson",
    "httpclient",
    "httpcore",
    "avro-1",
    "zookeeper",
    "curator",
];

pub(super) fn lacking() -> Option<&'static str> {
    if !succeeds(Command::new(java()).arg("-version")) {
        return Some("java");
    }
    let mut venv = Command::new("python3");
    (!succeeds(venv.args(["-c", "import ensurepip, venv"]))).then_some("python3 with venv")
}

pub(super) fn start(place: &Place) -> Result<Variables> {
    let state = up(place)?;
    let [uri, conf] = [format!("hdfs://127.0.0.1:{}", state.rpc), conf_directory(place)];
    place.keep_variables(&[("TIDEGATE_TEST_HDFS_URI", &uri), ("HADOOP_CONF_DIR", &conf)])?;
    Ok(place.variables())
}

/// A cluster of its own for those tests that kill and stop servers, so that others do not suffer. They
/// find its configuration and processes in the directory named.
pub(super) fn start_for_faults(place: &Place) -> Result<Variables> {
    up(place)?;
    place.keep_variables(&[("TIDEGATE_TEST_HDFS_FAULTS", &place.state.display().to_string())])?;
    Ok(place.variables())
}

struct Ports {
    rpc: u16,
    http: u16,
}

fn up(place: &Place) -> Result<Ports> {
    place.installed("Hadoop 2.7.3 (220 MB, of which 35 MB stay)", install)?;
    if !PROCESSES.iter().any(|process| place.process(process).is_alive()) {
        let [rpc, http] = free_ports()?;
        place.start_from_nothing(&["conf", "data", "tmp"])?;
        place.write("ports", &format!("{rpc} {http}"))?;
        configure(place, &Ports { rpc, http })?;
        let arguments = [format!("{SERVER}.namenode.NameNode"), "-format".into()];
        let [program, rest @ ..] = &*java_command(place, &arguments) else { unreachable!() };
        quietly(Command::new(program).args(rest)).context("formatting the NameNode")?;
    }
    let ports = fs::read_to_string(place.state.join("ports")).context("the NameNode's ports")?;
    let (rpc, http) = ports.split_once(' ').context("two ports")?;
    let ports = Ports { rpc: rpc.parse()?, http: http.parse()? };

    // Hadoop takes whoever this says for the user; permissions are not checked.
    let environment = [("HADOOP_USER_NAME", "tidegate")];
    let namenode = place.process("namenode");
    let arguments = [format!("{SERVER}.namenode.NameNode")];
    namenode.start(&environment, &java_command(place, &arguments))?;
    for number in 1..=DATANODES {
        let data = place.state.join(format!("data/datanode-{number}"));
        fs::create_dir_all(&data).context("a DataNode's directory")?;
        let arguments = [
            format!("{SERVER}.datanode.DataNode"),
            format!("-Ddfs.datanode.data.dir=file://{}", data.display()),
        ];
        let datanode = place.process(&format!("datanode-{number}"));
        datanode.start(&environment, &java_command(place, &arguments))?;
    }
    namenode.wait_until(|| is_operational(ports.http))?;
    Ok(ports)
}

fn is_operational(port: u16) -> bool {
    let state = "/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState";
    let Some(body) = http::get(port, state) else { return false };
    let json: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let bean = &json["beans"][0];
    bean["FSState"] == "Operational" && bean["NumLiveDataNodes"] == DATANODES
}

fn install(directory: &Path) -> Result<()> {
    let venv = directory.join("venv");
    quietly(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let pip = || {
        let mut pip = Command::new(venv.join("bin/pip"));
        pip.arg("--quiet");
        pip
    };
    quietly(pip().args(["install", "setuptools<70", "wheel"]))?;
    // Its setup.py fails in an isolated build, and without the package wheel.
    let mut download = pip();
    download.args(["download", "--no-deps", "--no-cache-dir", "--no-build-isolation"]);
    download.args(["--no-binary", "pyspark", "pyspark==2.4.8", "--dest"]).arg(directory);
    quietly(&mut download)?;

    let jars = directory.join("jars");
    fs::create_dir(&jars).context("jars")?;
    let archive = directory.join(format!("{ARCHIVE}.tar.gz"));
    let mut unpack = Command::new("tar");
    unpack.arg("xzf").arg(&archive).args([
        "--no-same-owner",
        "--wildcards",
        "--strip-components=3",
    ]);
    unpack.arg("-C").arg(&jars).args(JARS.map(|jar| format!("{ARCHIVE}/deps/jars/{jar}*")));
    quietly(&mut unpack)?;
    for application in ["hdfs", "datanode", "secondary"] {
        let directory = directory.join("webapps").join(application).join("WEB-INF");
        fs::create_dir_all(&directory).context("web pages")?;
        fs::write(directory.join("web.xml"), "<web-app/>\n").context("web pages")?;
    }
    fs::remove_file(&archive).context("the archive")?;
    fs::remove_dir_all(&venv).context("the environment for pip")
}

fn configure(place: &Place, ports: &Ports) -> Result<()> {
    let state = place.state.display();
    let (rpc, http) = (ports.rpc, ports.http);
    let core = [
        ("fs.defaultFS", format!("hdfs://127.0.0.1:{rpc}")),
        ("hadoop.tmp.dir", format!("{state}/tmp")),
    ];
    let hdfs = [
        ("dfs.namenode.name.dir", format!("file://{state}/data/namenode")),
        ("dfs.namenode.rpc-address", format!("127.0.0.1:{rpc}")),
        ("dfs.namenode.http-address", format!("127.0.0.1:{http}")),
        ("dfs.datanode.address", "127.0.0.1:0".into()),
        ("dfs.datanode.ipc.address", "127.0.0.1:0".into()),
        ("dfs.datanode.http.address", "127.0.0.1:0".into()),
        ("dfs.datanode.hostname", "127.0.0.1".into()),
        ("dfs.namenode.datanode.registration.ip-hostname-check", "false".into()),
        ("dfs.replication", "2".into()),
        // Small, so that tests cross the border between blocks.
        ("dfs.blocksize", "1048576".into()),
        ("dfs.namenode.fs-limits.min-block-size", "1024".into()),
        ("dfs.webhdfs.enabled", "false".into()),
        ("dfs.permissions.enabled", "false".into()),
        ("dfs.namenode.safemode.extension", "0".into()),
        // A DataNode that is dead is known to be after about 12 s.
        ("dfs.heartbeat.interval", "1".into()),
        ("dfs.namenode.heartbeat.recheck-interval", "1000".into()),
        // Hadoop 2.7 otherwise goes on placing blocks on a dead DataNode of the writer's own machine.
        ("dfs.namenode.avoid.write.stale.datanode", "true".into()),
        ("dfs.namenode.stale.datanode.interval", "3000".into()),
    ];
    place.write("conf/core-site.xml", &xml(&core))?;
    place.write("conf/hdfs-site.xml", &xml(&hdfs))?;
    place.write(
        "conf/log4j.properties",
        "log4j.rootLogger=INFO,console\n\
         log4j.appender.console=org.apache.log4j.ConsoleAppender\n\
         log4j.appender.console.target=System.err\n\
         log4j.appender.console.layout=org.apache.log4j.PatternLayout\n\
         log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n\n",
    )
}

fn xml(properties: &[(&str, String)]) -> String {
    let properties: Vec<String> = properties
        .iter()
        .map(|(name, value)| {
            format!("<property><name>{name}</name><value>{value}</value></property>")
        })
        .collect();
    format!("<configuration>\n{}\n</configuration>\n", properties.join("\n"))
}

fn java() -> String {
    env::var("JAVA_HOME").map_or_else(|_| "java".to_owned(), |home| format!("{home}/bin/java"))
}

fn java_command(place: &Place, arguments: &[String]) -> Vec<String> {
    let (state, cache) = (place.state.display(), place.cache.display());
    let mut command = vec![
        java(),
        "-Xmx192m".to_owned(),
        "-XX:+UseSerialGC".to_owned(),
        // Half the time to start, for a process that lives for minutes.
        "-XX:TieredStopAtLevel=1".to_owned(),
        format!("-Djava.io.tmpdir={state}/tmp"),
        "-cp".to_owned(),
        format!("{state}/conf:{cache}:{cache}/jars/*"),
    ];
    command.extend_from_slice(arguments);
    command
}

fn conf_directory(place: &Place) -> String {
    place.state.join("conf").display().to_string()
}
