//! Google Cloud Storage: there is no server to run it on, so what is tested is that the requests are
//! the ones its documentation asks for, and that answers in its form are understood.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use tidegate_store::{
    CheckpointStorage as _, DeleteOutcome, PublishOutcome, StorageError, StorageSettings,
};
use tidegate_store_object::ObjectStorage;

use crate::servers::path;

const EXISTS: &str = "412 Precondition Failed";
const LISTING: &str = "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult \
    xmlns='http://doc.s3.amazonaws.com/2006-03-01'><Name>bucket</Name><Prefix>root/job/</Prefix>\
    <IsTruncated>false</IsTruncated><Contents><Key>root/job/a</Key>\
    <LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>\"1\"</ETag><Size>3</Size></Contents>\
    <CommonPrefixes><Prefix>root/job/chk-1/</Prefix></CommonPrefixes></ListBucketResult>";

/// Answers these requests in turn, and gives what they were: first line, headers, body.
fn answers(answers: Vec<(&'static str, String)>) -> (String, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the test's own server");
    let endpoint = format!("http://{}", listener.local_addr().expect("the test's own server"));
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for (status, rest) in answers {
            let (stream, _) = listener.accept().expect("the test's own server");
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(
                    reader.read_line(&mut head).expect("the test's own server") > 0,
                    "the request ends: {head}"
                );
            }
            let head = head.to_lowercase();
            // The client writes more characters as percent signs than it has to.
            let head = [("%2f", "/"), ("%2d", "-"), ("%5f", "_")]
                .iter()
                .fold(head, |head, (code, character)| head.replace(code, character));
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().expect("the test's own server"));
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("the test's own server");
            sender.send((head, body)).expect("the test's own server");
            let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{rest}");
            reader.get_mut().write_all(answer.as_bytes()).expect("the test's own server");
        }
    });
    (endpoint, receiver)
}

fn empty(fields: &str) -> String {
    format!("content-length: 0\r\n{fields}\r\n")
}

#[test]
fn requests_to_google_are_as_it_asks_for() {
    let object =
        "etag: \"1\"\r\nx-goog-generation: 7\r\nlast-modified: Fri, 02 Jan 2026 03:04:05 GMT\r\n";
    let head = format!("content-length: 3\r\n{object}\r\n");
    let (endpoint, requests) = answers(vec![
        ("200 OK", empty(object)),
        (EXISTS, empty("")),
        ("200 OK", head.clone()),
        ("200 OK", format!("content-length: {}\r\n\r\n{LISTING}", LISTING.len())),
        ("200 OK", head),
        ("204 No Content", "\r\n".to_owned()),
        ("404 Not Found", empty("")),
    ]);
    let settings = StorageSettings::new([("gs.endpoint", &*endpoint), ("gs.bearer-token", "hush")]);
    let storage = ObjectStorage::open("gs://bucket/root", &settings).unwrap();
    let at = path("job/chk-1/_metadata");

    assert_eq!(storage.publish(&at, b"abc").unwrap(), PublishOutcome::Published);
    let (put, body) = requests.recv().unwrap();
    assert!(put.starts_with("put /bucket/root/job/chk-1/_metadata "), "{put}");
    assert!(put.contains("x-goog-if-generation-match: 0\r\n"), "not only if absent: {put}");
    assert!(put.contains("x-goog-meta-tidegatewriter: "), "nobody's object: {put}");
    assert!(put.contains("authorization: bearer hush\r\n"), "{put}");
    assert_eq!(body, b"abc");

    assert_eq!(storage.publish(&at, b"abd").unwrap(), PublishOutcome::AlreadyExists);
    assert!(requests.recv().unwrap().0.starts_with("put "));
    let (look, _) = requests.recv().unwrap();
    assert!(look.starts_with("head /bucket/root/job/chk-1/_metadata "), "{look}");

    let entries = storage.list(&path("job")).unwrap();
    assert_eq!(entries.iter().map(|e| &*e.name).collect::<Vec<_>>(), ["a", "chk-1"]);
    let (list, _) = requests.recv().unwrap();
    assert!(list.contains("prefix=root/job/") && list.contains("delimiter=/"), "{list}");

    assert_eq!(storage.delete(&path("job/a")).unwrap(), DeleteOutcome::Deleted);
    assert!(requests.recv().unwrap().0.starts_with("head "));
    assert!(requests.recv().unwrap().0.starts_with("delete /bucket/root/job/a "));
    let missing = storage.open(&path("job/none")).map(drop).unwrap_err();
    assert!(matches!(missing, StorageError::Missing { .. }), "{missing:?}");
}
