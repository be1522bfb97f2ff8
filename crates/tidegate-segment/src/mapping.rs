//! A whole file in memory, without copying it.
//!
//! Invariants:
//! - a mapping is only ever read;
//! - it lives as long as the `Mapping`, and slices of it borrow from the `Mapping`;
//! - the file is sealed: complete and durable before it got its name, never written to again;
//! - a page that the file has lost reads as zeros and marks its mapping as lost; it does not end
//!   the process (Linux; `docs/unsafe.md` has the argument and its limits).

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::SegmentError;

/// The content of a sealed file, mapped for reading.
///
/// Cheap to make whatever the file's length: pages are read when they are first touched. The file
/// may be renamed or unlinked meanwhile; its pages stay until the mapping is dropped. One
/// descriptor stays open with it.
///
/// # What the caller promises
///
/// The file is sealed: nobody truncates it or writes to it while it is mapped. Tidegate's own
/// files are (they are published by rename or link when complete), so this is a promise about
/// other programs. What happens when it is broken by truncation: lost pages read as zeros, and
/// [`check_intact`](Self::check_intact) says so. Broken by writing: bytes change after they were
/// verified. `docs/unsafe.md` has the whole argument.
pub struct Mapping {
    // Dropped before the map: the handler of SIGBUS must not know pages that are not ours.
    guard: Option<guard::Guard>,
    // `None` for an empty file, which the system does not map.
    map: Option<Mmap>,
    file: File,
    path: PathBuf,
}

impl Mapping {
    /// Maps the whole of a sealed file.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Open`] when there is no readable regular file at `path`;
    /// [`SegmentError::Map`] when the system refuses the mapping.
    pub fn open(path: &Path) -> Result<Self, SegmentError> {
        let failed = |source| SegmentError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        let length = metadata.len();
        if length == 0 {
            return Ok(Self { guard: None, map: None, file, path: path.to_owned() });
        }
        let refused = |source| SegmentError::Map { path: path.to_owned(), length, source };
        let map = map(&file).map_err(refused)?;
        let guard = guard::Guard::new(&map).map_err(refused)?;
        Ok(Self { guard: Some(guard), map: Some(map), file, path: path.to_owned() })
    }

    /// The path under which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a page was touched that the file does not have any more. A single load.
    #[inline]
    pub fn is_lost(&self) -> bool {
        self.guard.as_ref().is_some_and(guard::Guard::is_lost)
    }

    /// Whether everything that was read so far really was in the file.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Lost`] when a lost page was touched, or the file is shorter now than it was;
    /// also when the system cannot tell any more.
    pub fn check_intact(&self) -> Result<(), SegmentError> {
        let expected = self.len() as u64;
        let found = self.file.metadata().map_or(0, |metadata| metadata.len());
        if found < expected || self.is_lost() {
            return Err(SegmentError::Lost { path: self.path.clone(), expected, found });
        }
        Ok(())
    }
}

#[expect(unsafe_code, reason = "mapping a file is what this crate is for")]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: `Mmap::map` asks that the file is not changed while it is mapped.
    // - Not by this process: no code of Tidegate opens a published file for writing, truncates it
    //   or punches holes in it; names change by rename, link and unlink only, all of which leave
    //   the mapped inode alone.
    // - Not by other processes: the contract of `Mapping`, which docs/unsafe.md states with what
    //   happens when it is broken. No check could prove it, so it is a precondition and not a
    //   claim of this code.
    // The descriptor may be closed afterwards: a mapping keeps its inode.
    unsafe { Mmap::map(file) }
}

impl Deref for Mapping {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("path", &self.path)
            .field("length", &self.len())
            .finish_non_exhaustive()
    }
}

/// Keeps a lost page from ending the process.
///
/// The kernel sends SIGBUS to the thread that touches a page of a mapping behind the end of its
/// file, or one that the disk does not deliver. Our handler looks the address up in a table of
/// living mappings; if it is in one of them, it marks that mapping as lost, puts a page of zeros
/// there and returns, so that the thread repeats its load and gets zeros. Any other SIGBUS goes
/// to the handler that was there before.
///
/// Invariants:
/// - the handler allocates nothing, locks nothing, and calls nothing but `mmap` as a bare system
///   call and, for signals that are not ours, the previous handler;
/// - a slot of the table is changed only while its generation is odd, by the one who holds it;
/// - a slot is freed before its pages are unmapped: while an address matches, the page is ours.
#[cfg(target_os = "linux")]
mod guard {
    use std::io;
    use std::mem;
    use std::ptr;
    use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
    use std::sync::{Mutex, OnceLock, PoisonError};

    use libc::{c_int, c_void, siginfo_t};
    use memmap2::Mmap;

    /// As many as Linux lets a process have mappings by default (`vm.max_map_count` is 65,530).
    const SLOTS: usize = 1 << 16;

    struct Slot {
        // Odd while the slot is being changed.
        generation: AtomicU64,
        start: AtomicUsize,
        end: AtomicUsize,
        lost: AtomicBool,
    }

    // In zero-initialized memory: costs address space, and pages as far as they are used.
    static TABLE: [Slot; SLOTS] = [const {
        Slot {
            generation: AtomicU64::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            lost: AtomicBool::new(false),
        }
    }; SLOTS];
    /// Slots below this one have been used.
    static USED: AtomicUsize = AtomicUsize::new(0);
    static FREE: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    static PAGE: AtomicUsize = AtomicUsize::new(4096);

    /// A mapping's slot in the table.
    pub(super) struct Guard {
        slot: usize,
    }

    impl Guard {
        pub(super) fn new(map: &Mmap) -> io::Result<Self> {
            INSTALLED.get_or_init(install).map_err(io::Error::from_raw_os_error)?;
            let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
            let slot = free.pop().unwrap_or_else(|| USED.load(Ordering::Relaxed));
            if slot == SLOTS {
                let message = "more mapped segments than a process may have (65,536)";
                return Err(io::Error::new(io::ErrorKind::OutOfMemory, message));
            }
            let start = map.as_ptr().addr();
            let page = PAGE.load(Ordering::Relaxed);
            change(slot, start, start + map.len().next_multiple_of(page));
            USED.fetch_max(slot + 1, Ordering::Release);
            Ok(Self { slot })
        }

        #[inline]
        pub(super) fn is_lost(&self) -> bool {
            TABLE[self.slot].lost.load(Ordering::Relaxed)
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            change(self.slot, 0, 0);
            FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self.slot);
        }
    }

    /// Called by the one who holds the slot, and by nobody else.
    fn change(slot: usize, start: usize, end: usize) {
        let slot = &TABLE[slot];
        slot.generation.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::Release);
        slot.start.store(start, Ordering::Relaxed);
        slot.end.store(end, Ordering::Relaxed);
        slot.lost.store(false, Ordering::Relaxed);
        slot.generation.fetch_add(1, Ordering::Release);
    }

    /// The slot whose pages include the address. A slot in change is not the one: the thread that
    /// touched the address holds a reference into a mapping whose slot is settled.
    fn slot_of(address: usize) -> Option<&'static Slot> {
        TABLE[..USED.load(Ordering::Acquire)].iter().find(|slot| {
            let before = slot.generation.load(Ordering::Acquire);
            let start = slot.start.load(Ordering::Relaxed);
            let end = slot.end.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            let after = slot.generation.load(Ordering::Relaxed);
            before == after && before.is_multiple_of(2) && start <= address && address < end
        })
    }

    #[expect(unsafe_code, reason = "handling SIGBUS takes the system's own interface")]
    fn install() -> Result<(), i32> {
        let failed = || io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
        // SAFETY: `sysconf` has no preconditions.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        PAGE.store(usize::try_from(page).unwrap_or(4096), Ordering::Relaxed);
        // SAFETY: `sigaction` is a struct of numbers, a set of bits and an optional function
        // pointer, for all of which zero is a value: no flags, the empty set, `None`.
        let mut previous: libc::sigaction = unsafe { mem::zeroed() };
        // SAFETY: a null `act` only asks; `oldact` points to a struct of ours.
        if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut previous) } != 0 {
            return Err(failed());
        }
        let mut ours = previous;
        // The handler's first signal may come as soon as it is installed.
        PREVIOUS.get_or_init(|| previous);
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_bus_error;
        ours.sa_sigaction = handler as *const () as usize;
        // On the alternative stack where a thread has one, as Rust's own handler.
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        // SAFETY: `act` points to a struct of ours whose handler has the signature that
        // `SA_SIGINFO` asks for and is async-signal-safe (see the module); null `oldact` is allowed.
        if unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut()) } != 0 {
            return Err(failed());
        }
        Ok(())
    }

    #[expect(unsafe_code, reason = "handling SIGBUS takes the system's own interface")]
    extern "C" fn on_bus_error(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        // SAFETY: the kernel passes a valid `siginfo_t` to a handler with `SA_SIGINFO`, which
        // nobody else changes until the handler returns.
        let siginfo = unsafe { &*info };
        let code = siginfo.si_code;
        // SAFETY: the kernel sets `si_addr` for a SIGBUS of its own, and initializes its bytes for
        // any other.
        let address = unsafe { siginfo.si_addr() }.addr();
        // Not above zero: somebody called `kill`, there is no address.
        let slot = if code > 0 { slot_of(address) } else { None };
        if let Some(slot) = slot {
            // Before the zeros can be seen by any thread.
            slot.lost.store(true, Ordering::SeqCst);
            if replace_page(address) {
                return;
            }
        }
        pass_on(signal, info, context, code > 0);
    }

    /// Puts zeros where the address is. Whether that succeeded.
    #[expect(unsafe_code, reason = "handling SIGBUS takes the system's own interface")]
    fn replace_page(address: usize) -> bool {
        let page = PAGE.load(Ordering::Relaxed);
        let start = address - address % page;
        // The raw call, as a C library's may lock; it returns an error in `errno`, which belongs
        // to the interrupted code.
        // SAFETY: the pointer to the thread's `errno` has no preconditions.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: it points to an initialized integer of this thread.
        let saved = unsafe { *errno };
        // SAFETY: with `MAP_FIXED`, replaces whatever is mapped at [start, start + page). That is
        // one page of a mapping of ours: `address` is in it, and it cannot be unmapped now, since
        // the interrupted code is in the middle of a load through a reference that borrows from
        // the `Mapping`. Readable as before; the mapping's `munmap` covers it.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mmap,
                start,
                page,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        // SAFETY: as where it was read.
        unsafe { *errno = saved };
        usize::try_from(result) == Ok(start)
    }

    /// What would have happened without us.
    #[expect(unsafe_code, reason = "handling SIGBUS takes the system's own interface")]
    fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void, by_kernel: bool) {
        let previous = PREVIOUS.get().expect("it is set before the handler is installed");
        let handler = previous.sa_sigaction;
        if handler == libc::SIG_IGN && !by_kernel {
            return;
        }
        if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
            // SAFETY: as in `install`.
            let mut default: libc::sigaction = unsafe { mem::zeroed() };
            default.sa_sigaction = libc::SIG_DFL;
            // SAFETY: `act` points to a struct of ours; null `oldact` is allowed.
            unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) };
            if !by_kernel {
                // Pending until we return, then with the default action. After a fault, returning
                // repeats the load that failed, with the same effect.
                // SAFETY: `raise` has no preconditions.
                unsafe { libc::raise(signal) };
            }
        } else if previous.sa_flags & libc::SA_SIGINFO != 0 {
            type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
            // SAFETY: it is neither of the two constants and was registered with `SA_SIGINFO`,
            // so it is a function of this type.
            let handler = unsafe { mem::transmute::<usize, Handler>(handler) };
            handler(signal, info, context);
        } else {
            // SAFETY: likewise, registered without `SA_SIGINFO`.
            let handler = unsafe { mem::transmute::<usize, extern "C" fn(c_int)>(handler) };
            handler(signal);
        }
    }
}

/// Elsewhere a lost page ends the process, as `docs/unsafe.md` says.
#[cfg(not(target_os = "linux"))]
mod guard {
    pub(super) struct Guard;

    impl Guard {
        #[expect(clippy::unnecessary_wraps, reason = "the signature of the other one")]
        pub(super) fn new(_: &memmap2::Mmap) -> std::io::Result<Self> {
            Ok(Self)
        }

        pub(super) fn is_lost(&self) -> bool {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_shows_the_whole_file_even_after_it_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealed");
        let content: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        std::fs::write(&path, &content).unwrap();
        let mapping = Mapping::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(&*mapping, content);
        mapping.check_intact().unwrap();
    }

    #[test]
    fn an_empty_file_is_an_empty_slice() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("empty");
        std::fs::write(&path, b"").unwrap();
        assert!(Mapping::open(&path).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_file_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().to_owned(), directory.path().join("absent")] {
            let error = Mapping::open(&path).unwrap_err();
            assert!(matches!(&error, SegmentError::Open { path: p, .. } if *p == path), "{error}");
            assert!(error.to_string().contains(path.to_str().unwrap()));
        }
    }

    #[cfg(target_os = "linux")]
    fn truncated(path: &Path, length: u64) -> Mapping {
        std::fs::write(path, vec![7; 20 * 4096]).unwrap();
        let mapping = Mapping::open(path).unwrap();
        assert_eq!(mapping[10 * 4096], 7);
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
        mapping
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_lost_page_reads_as_zeros_and_marks_only_its_own_mapping() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("other");
        std::fs::write(&path, vec![7; 4096]).unwrap();
        let other = Mapping::open(&path).unwrap();
        let mapping = truncated(&directory.path().join("lost"), 4096);
        assert!(!mapping.is_lost(), "nothing was touched so far");
        assert_eq!(mapping[4095], 7);
        // Many threads at once, all pages.
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert!(mapping[4096..].iter().all(|byte| *byte == 0)));
            }
        });
        assert!(mapping.is_lost());
        let error = mapping.check_intact().unwrap_err();
        assert!(matches!(error, SegmentError::Lost { expected: 81_920, found: 4096, .. }));
        assert!(!other.is_lost());
        other.check_intact().unwrap();
        drop(mapping);
        // The slot is clean for the next one.
        assert!(!Mapping::open(&path).unwrap().is_lost());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_truncation_inside_of_a_page_is_noticed_when_asked() {
        let directory = tempfile::tempdir().unwrap();
        let mapping = truncated(&directory.path().join("lost"), 20 * 4096 - 1);
        assert_eq!(mapping[20 * 4096 - 1], 0, "no signal: the page is there, its end is zeros");
        assert!(!mapping.is_lost());
        assert!(mapping.check_intact().is_err());
    }

    // In a process of its own, as it is to die.
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "a mapping that is not ours")]
    #[test]
    fn a_foreign_bus_error_ends_the_process_as_ever() {
        use std::os::unix::process::ExitStatusExt as _;

        let name = "mapping::tests::a_foreign_bus_error_ends_the_process_as_ever";
        if let Some(directory) = std::env::var_os("TIDEGATE_TEST_DIE_IN") {
            let directory = Path::new(&directory);
            drop(truncated(&directory.join("ours"), 20 * 4096));
            let path = directory.join("foreign");
            std::fs::write(&path, vec![7; 4096]).unwrap();
            let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
            // SAFETY: it is changed, on purpose: the touch below is to raise SIGBUS.
            let foreign = unsafe { Mmap::map(&file) }.unwrap();
            file.set_len(0).unwrap();
            assert_eq!(std::hint::black_box(&foreign)[0], 0, "never evaluated");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--quiet"])
            .env("TIDEGATE_TEST_DIE_IN", directory.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status();
        let status = status.unwrap();
        // A sanitizer's handler, where there is one, exits instead.
        let by_sanitizer = status.code().is_some_and(|c| c != 0 && c != 101);
        assert!(status.signal() == Some(libc::SIGBUS) || by_sanitizer, "{status}");
    }
}
