//! Answers that are lost for certain: a proxy before the NameNode lets a rename through and cuts the
//! connection instead of giving back its answer.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use tidegate_store::{OwnerInfo, PublishOutcome};
use tidegate_store_hdfs::HdfsOptions;

use crate::cluster::{bytes, get, open, path, server, unique};

/// The method's name, as it stands in a call.
const RENAME: &[u8] = b"rename2";

#[derive(Default)]
struct Proxy {
    /// The next rename's answer is to be lost.
    is_armed: AtomicBool,
    lost: AtomicU32,
}

impl Proxy {
    /// Before this NameNode; the proxy, and its address.
    fn before(namenode: &str) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a port").to_string();
        let proxy = Arc::new(Self::default());
        let (serving, namenode) = (Arc::clone(&proxy), namenode.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(&namenode).expect("the NameNode");
                serving.serve(client, server);
            }
        });
        (proxy, address)
    }

    fn serve(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let is_cut = Arc::new(AtomicBool::new(false));
        let clone = |stream: &TcpStream| stream.try_clone().expect("a handle");
        let (calls, answers) = ((clone(&client), clone(&server)), (server, client));
        let (proxy, cut) = (Arc::clone(self), Arc::clone(&is_cut));
        thread::spawn(move || {
            pass(calls, |call| {
                let is_rename = call.windows(RENAME.len()).any(|window| window == RENAME);
                if is_rename && proxy.is_armed.swap(false, Ordering::SeqCst) {
                    cut.store(true, Ordering::SeqCst);
                    proxy.lost.fetch_add(1, Ordering::SeqCst);
                }
                true
            });
        });
        thread::spawn(move || pass(answers, |_| !is_cut.load(Ordering::SeqCst)));
    }

    /// What `work` gives when the answer to its first rename is lost.
    fn losing<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = self.lost.load(Ordering::SeqCst);
        self.is_armed.store(true, Ordering::SeqCst);
        let result = work();
        assert_eq!(self.lost.load(Ordering::SeqCst), before + 1, "no rename's answer was lost");
        result
    }
}

/// Copies from one to the other, as long as `goes_on` says so of what comes.
fn pass((mut from, mut to): (TcpStream, TcpStream), mut goes_on: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !goes_on(&buffer[..count]) || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

#[test]
fn what_became_of_a_rename_whose_answer_was_lost_is_found_out() {
    let Some(uri) = server("TIDEGATE_TEST_HDFS_URI", "lost_renames") else { return };
    let (proxy, address) = Proxy::before(uri.strip_prefix("hdfs://").unwrap());
    // Long, so that no sign of life is the rename in question.
    let options = HdfsOptions { lease: Duration::from_secs(6_000), ..HdfsOptions::default() };
    let storage = open(&format!("hdfs://{address}/{}", unique("lost")), &options);

    let hold = proxy.losing(|| storage.own(&path("job"), &OwnerInfo::current("job", 1))).unwrap();
    hold.check().unwrap();
    let at = |n: u32| path(&format!("job/chk-{n}/_metadata"));
    let published = proxy.losing(|| hold.publish(&at(1), b"one"));
    assert_eq!(published.unwrap(), PublishOutcome::Published, "by the owner");
    let published = proxy.losing(|| storage.publish(&at(2), b"two"));
    assert_eq!(published.unwrap(), PublishOutcome::Published, "by anybody");
    let refused = proxy.losing(|| hold.publish(&at(2), b"other"));
    assert_eq!(refused.unwrap(), PublishOutcome::AlreadyExists, "the answer said so, and was lost");
    assert_eq!(get(&storage, at(2).as_str()), b"two");

    for (name, length) in [("job/short", 1_000), ("job/long", 3 << 20)] {
        let content = bytes(length);
        let mut writer = storage.create(&path(name)).unwrap();
        writer.write_all(&content).unwrap();
        let finished = proxy.losing(|| writer.finish());
        assert_eq!(finished.unwrap().length, length as u64, "{name}");
        assert_eq!(get(&storage, name), content, "{name}");
    }
    hold.check().unwrap();
}
