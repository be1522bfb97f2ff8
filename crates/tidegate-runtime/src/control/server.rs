//! The job's side: registers the job and answers.

use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::control::client::is_running;
use crate::control::connection::Connection;
use crate::control::directory;
use crate::control::{ControlError, ControlRequest, ControlResponse, JobEntry, JobRegistration};

/// Answers requests; called on the server's thread, so it should not wait for the job.
pub type ControlHandler = Arc<dyn Fn(ControlRequest) -> ControlResponse + Send + Sync>;

/// How long one client may take for its request and our answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest path of a Unix socket on Linux, in bytes, without its end.
const SOCKET_PATH_LENGTH_MAX: usize = 107;

/// A job's endpoint. Dropping it ends the thread and removes the job's files.
pub struct ControlServer {
    entry: JobEntry,
    // A second handle on the listening socket, to wake the thread that accepts.
    listener: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl ControlServer {
    /// Registers the job in the run-time directory and answers until dropped.
    ///
    /// # Errors
    ///
    /// When the directory is not this user's own or cannot be written to, or the job is registered
    /// already by this process.
    pub fn start(
        directory: &Path,
        job: JobRegistration,
        handler: ControlHandler,
    ) -> Result<Self, ControlError> {
        directory::prepare(directory)?;
        let entry = JobEntry::of_this_process(job, directory);
        let socket = entry.socket();
        if socket.as_os_str().len() > SOCKET_PATH_LENGTH_MAX {
            return Err(ControlError::PathTooLong { path: socket });
        }
        if entry.path.exists() && is_running(&entry) && UnixStream::connect(&socket).is_ok() {
            return Err(ControlError::AlreadyRegistered { job: entry.job_id });
        }
        let listener = listen(&socket)
            .map_err(|source| ControlError::Register { path: socket.clone(), source })?;
        let wake = listener.try_clone().map(OwnedFd::from).map(UnixStream::from);
        let started = wake.and_then(|wake| {
            let serve = move || serve(&listener, &handler);
            let thread = std::thread::Builder::new().name("control".to_owned()).spawn(serve)?;
            Ok((wake, thread))
        });
        let (listener, thread) =
            started.map_err(|source| ControlError::Register { path: socket.clone(), source })?;
        // From here on dropping cleans up. The entry comes last: whoever sees it can connect.
        let server = Self { entry, listener, thread: Some(thread) };
        publish(&server.entry)
            .map_err(|source| ControlError::Register { path: server.entry.path.clone(), source })?;
        Ok(server)
    }

    /// What others see of the job.
    pub fn entry(&self) -> &JobEntry {
        &self.entry
    }
}

impl fmt::Debug for ControlServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlServer").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        // Somebody may have cleaned the directory up; then there is nothing to remove.
        let _ = fs::remove_file(&self.entry.path);
        let _ = fs::remove_file(self.entry.socket());
        // Linux wakes a thread that waits in `accept` when the socket is shut down.
        let _ = self.listener.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            // A panic of the handler has been told on standard error already.
            let _ = thread.join();
        }
    }
}

fn listen(socket: &Path) -> io::Result<UnixListener> {
    // What lies there is of a dead process that had our id.
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn publish(entry: &JobEntry) -> io::Result<()> {
    let temporary = entry.path.with_extension("tmp");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&serde_json::to_vec(entry)?)?;
    fs::rename(&temporary, &entry.path)
}

fn serve(listener: &UnixListener, handler: &ControlHandler) {
    loop {
        match listener.accept() {
            // A client that went away or is too slow has only itself to blame.
            Ok((stream, _)) => drop(answer(Connection::new(stream, CLIENT_TIMEOUT), handler)),
            Err(error) if is_passing(&error) => {
                // Out of file descriptors, say: it would be reported again at once.
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(_) => return,
        }
    }
}

// Everything but the answer to our own shutdown, which is EINVAL.
fn is_passing(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::InvalidInput
}

fn answer(mut connection: Connection, handler: &ControlHandler) -> io::Result<()> {
    let request = connection.read_line()?;
    let response = match serde_json::from_str(&request) {
        Ok(request) => handler(request),
        Err(error) => ControlResponse::Refused { reason: format!("unknown request: {error}") },
    };
    connection.write_line(serde_json::to_string(&response)?)
}
