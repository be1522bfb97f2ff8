//! S3: Ceph's gateway over one monitor and one store in memory, from Debian's packages, unpacked.
//!
//! Nothing is installed, no root is needed. What is stored outlives the gateway, which tests may kill and
//! start again, but not the store behind it. A second gateway (`gateway-faults`) is for such tests.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::place::{Place, Variables, free_ports, quietly};
use crate::shell::{self, succeeds};

pub(super) const RELEASE: &str = "ceph";
pub(super) const PROCESSES: &[&str] = &["gateway-faults", "gateway", "osd", "monitor"];

const KEY: &str = "tidegate-key";
const SECRET: &str = "tidegate-secret";
const BUCKET: &str = "tidegate";
/// What the packages depend on and the three programs do not use.
const UNUSED: [&str; 16] = [
    "python3",
    "cryptsetup",
    "gdisk",
    "hdparm",
    "logrotate",
    "uuid-runtime",
    "nvme",
    "dmidecode",
    "parted",
    "smart",
    "xfsprogs",
    "dmeventd",
    "lvm2",
    "sudo",
    "libinih1",
    "libpopt0",
];

pub(super) fn lacking() -> Option<&'static str> {
    if !succeeds(Command::new("apt-get").arg("--version")) {
        return Some("apt-get (the server comes from Debian's packages)");
    }
    (!succeeds(Command::new("python3").arg("--version"))).then_some("python3")
}

pub(super) fn start(place: &Place) -> Result<Variables> {
    place.installed("Ceph (52 MB, unpacked 204 MB)", install)?;
    let ceph = Ceph { place };
    if !place.are_alive(&["monitor", "osd"]) {
        for process in PROCESSES {
            place.process(process).stop()?;
        }
        let ports = free_ports()?;
        place.start_from_nothing(&["monitor", "osd", "gateway", "gateway-faults", "run", "log"])?;
        ceph.make(ports)?;
    }
    for (name, variable) in [
        ("gateway", "TIDEGATE_TEST_S3_ENDPOINT"),
        ("gateway-faults", "TIDEGATE_TEST_S3_FAULTS_ENDPOINT"),
    ] {
        ceph.start(name, "radosgw", &["-n", &format!("client.{name}"), "-f"])?;
        let endpoint = place.variables().remove(variable).context("the gateway's address")?;
        let port = endpoint.rsplit(':').next().unwrap_or_default().to_owned();
        let script = shell::root().join("xtask/servers/make_bucket.py");
        let make = || {
            let mut make = Command::new("python3");
            succeeds(make.arg(&script).args([&port, KEY, SECRET, BUCKET]))
        };
        place.process(name).wait_until(make)?;
    }
    Ok(place.variables())
}

fn install(directory: &Path) -> Result<()> {
    let (archives, root) = (directory.join("archives"), directory.join("root"));
    // Without lists of packages, or with old ones, there is nothing to be had.
    if download(&archives).is_err() {
        quietly(Command::new("apt-get").args(["--quiet", "update"]))?;
        download(&archives)?;
    }
    for archive in fs::read_dir(&archives).context("packages")? {
        quietly(Command::new("dpkg").arg("-x").arg(archive?.path()).arg(&root))?;
    }
    ensure!(root.join("usr/bin/radosgw").exists(), "the package radosgw has no such program");
    fs::remove_dir_all(&archives).context("packages")
}

/// The packages that this machine lacks for the three programs.
fn download(archives: &Path) -> Result<()> {
    let mut plan = Command::new("apt-get");
    plan.args(["install", "--simulate", "--no-install-recommends"]);
    let plan = quietly(plan.args(["ceph-mon", "ceph-osd", "radosgw"]))?;
    let packages = plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    let packages: Vec<&str> = packages
        .filter(|package| !UNUSED.iter().any(|unused| package.starts_with(unused)))
        .collect();
    fs::create_dir_all(archives).context("packages")?;
    let mut download = Command::new("apt-get");
    // The user who may write here is not the one that apt would become.
    download.args(["--quiet", "-o", "APT::Sandbox::User=", "download"]);
    quietly(download.args(&packages).current_dir(archives)).map(drop)
}

struct Ceph<'a> {
    place: &'a Place,
}

impl Ceph<'_> {
    /// A new cluster: monitor, store, and a user of the gateway.
    fn make(&self, [monitor, gateway, faults]: [u16; 3]) -> Result<()> {
        let place = self.place;
        place.keep_variables(&[
            ("TIDEGATE_TEST_S3_ENDPOINT", &format!("http://127.0.0.1:{gateway}")),
            ("TIDEGATE_TEST_S3_FAULTS_ENDPOINT", &format!("http://127.0.0.1:{faults}")),
            ("TIDEGATE_TEST_S3_BUCKET", BUCKET),
            ("TIDEGATE_TEST_S3_ACCESS_KEY", KEY),
            ("TIDEGATE_TEST_S3_SECRET_KEY", SECRET),
        ])?;
        let id = unique_id()?;
        place.write("ceph.conf", &self.configuration(&id, monitor, gateway, faults))?;
        let (map, address) = (self.state("monmap"), format!("v2:127.0.0.1:{monitor}/0"));
        self.run(
            "monmaptool",
            &["--create", "--clobber", "--fsid", &id, "--addv", "a", &address, &map],
        )?;
        self.run("ceph-mon", &["-i", "a", "--mkfs", "--monmap", &map, "--fsid", &id])?;
        self.start("monitor", "ceph-mon", &["-i", "a", "-f"])?;

        let id = unique_id()?;
        let mut commands = Command::new("python3");
        commands
            .arg(shell::root().join("xtask/servers/ceph_monitor.py"))
            .arg(self.state("ceph.conf"));
        commands.args([
            format!(r#"{{"prefix":"osd create","uuid":"{id}","id":0}}"#),
            r#"{"prefix":"osd crush add","id":0,"weight":1.0,"args":["root=default","host=localhost"]}"#.into(),
        ]);
        quietly(commands.env("LD_LIBRARY_PATH", self.library_path()))?;
        self.run("ceph-osd", &["-i", "0", "--mkfs", "--osd-uuid", &id])?;
        self.start("osd", "ceph-osd", &["-i", "0", "-f"])?;
        let user = ["user", "create", "--uid", "tidegate", "--display-name", "tidegate"];
        self.run(
            "radosgw-admin",
            &[&user[..], &["--access-key", KEY, "--secret-key", SECRET]].concat(),
        )
    }

    fn start(&self, process: &str, program: &str, arguments: &[&str]) -> Result<()> {
        let mut command = vec![self.program(program), "-c".to_owned(), self.state("ceph.conf")];
        command.extend(arguments.iter().map(ToString::to_string));
        self.place.process(process).start(&[("LD_LIBRARY_PATH", &self.library_path())], &command)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        // A cluster that is not well makes some of them wait for ever.
        let mut command = Command::new("timeout");
        command.arg("240").arg(self.program(program)).args(["-c", &self.state("ceph.conf")]);
        quietly(command.args(arguments).env("LD_LIBRARY_PATH", self.library_path())).map(drop)
    }

    fn program(&self, name: &str) -> String {
        self.place.cache.join("root/usr/bin").join(name).display().to_string()
    }

    fn state(&self, name: &str) -> String {
        self.place.state.join(name).display().to_string()
    }

    fn libraries(&self) -> PathBuf {
        self.place.cache.join(format!("root/usr/lib/{ARCH}-linux-gnu"))
    }

    fn library_path(&self) -> String {
        let (usr, root) =
            (self.libraries(), self.place.cache.join(format!("root/lib/{ARCH}-linux-gnu")));
        format!("{0}:{0}/ceph:{1}", usr.display(), root.display())
    }

    fn configuration(&self, id: &str, monitor: u16, gateway: u16, faults: u16) -> String {
        let (state, libraries) = (self.place.state.display(), self.libraries());
        let libraries = libraries.display();
        // Without authentication, messages must be in the clear: the default wants them encrypted, and
        // the gateway then waits for ever. Sockets for administration would have too long paths.
        format!(
            "[global]
fsid = {id}
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
ms_mon_service_mode = crc
ms_mon_cluster_mode = crc
mon_host = v2:127.0.0.1:{monitor}/0
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
run_dir = {state}/run
admin_socket =
log_file = {state}/log/$name.log
pid_file = {state}/run/$name.pid
erasure_code_dir = {libraries}/ceph/erasure-code
plugin_dir = {libraries}/ceph
osd_class_dir = {libraries}/rados-classes
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_data_avail_crit = 1
mon_data = {state}/monitor
osd_data = {state}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
[client]
rgw_run_sync_thread = false
rgw_enable_gc_threads = false
rgw_enable_lc_threads = false
[client.gateway]
rgw_frontends = beast endpoint=127.0.0.1:{gateway}
rgw_data = {state}/gateway
[client.gateway-faults]
rgw_frontends = beast endpoint=127.0.0.1:{faults}
rgw_data = {state}/gateway-faults
"
        )
    }
}

fn unique_id() -> Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid").context("a random id")?;
    Ok(id.trim().to_owned())
}
