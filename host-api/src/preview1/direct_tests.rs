//! The plain functions beside those of `wasmtime-wasi`: one guest calls both, and must not be able to tell them apart.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wasmtime::{Config, Engine, Instance, Linker, Module, Store, Val};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p1;

use super::{Facts, Preview1, Process};
use crate::capture::{BoundedCapture, EventInput};
use crate::log_stream::{LogWriter, Stream};

/// Error numbers of preview 1.
const SUCCESS: i32 = 0;
const BADF: i32 = 8;

/// Where the guest has its list of buffers, and the results of calls.
const LIST: i32 = 1024;
const RESULT: i32 = 2048;

/// What is imported, with the types of its parameters.
const IMPORTS: &[(&str, &str)] = &[
    ("args_sizes_get", "i32 i32"),
    ("args_get", "i32 i32"),
    ("environ_sizes_get", "i32 i32"),
    ("environ_get", "i32 i32"),
    ("clock_time_get", "i32 i64 i32"),
    ("fd_close", "i32"),
    ("fd_fdstat_get", "i32 i32"),
    ("fd_prestat_get", "i32 i32"),
    ("fd_read", "i32 i32 i32 i32"),
    ("fd_renumber", "i32 i32"),
    ("fd_seek", "i32 i64 i32 i32"),
    ("fd_write", "i32 i32 i32 i32"),
    ("poll_oneoff", "i32 i32 i32 i32"),
    ("random_get", "i32 i32"),
    ("sched_yield", ""),
];

#[derive(Default)]
struct Seen(Mutex<Vec<(Stream, Vec<u8>)>>);

impl LogWriter for Seen {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        self.0.lock().push((stream, bytes.to_vec()));
    }
}

/// A process that nobody sees.
pub(super) fn nobody() -> Process {
    Process::new(Arc::default(), Arc::new(Seen::default()), Instant::now())
}

/// A guest that passes on what it is told to call.
struct Guest {
    store: Store<Preview1>,
    instance: Instance,
    log: Arc<Seen>,
    output: BoundedCapture,
}

impl Guest {
    /// One that was linked so, with an event and something in its environment.
    async fn new(
        add: impl FnOnce(&mut Linker<Preview1>) -> wasmtime::Result<()>,
        began: Instant,
    ) -> Self {
        let engine = Engine::new(&Config::new()).unwrap();
        let mut linker = Linker::new(&engine);
        add(&mut linker).unwrap();
        let module = Module::new(&engine, wat::parse_str(text()).unwrap()).unwrap();
        let environment = [("NAME", "value"), ("EMPTY", ""), ("Ä", "=x=")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let facts = Facts::new(vec!["echo".to_owned(), "b".to_owned()], environment.to_vec());
        let (log, output) = (Arc::new(Seen::default()), BoundedCapture::new(1 << 20));
        let process = Process::new(Arc::new(facts), log.clone(), began)
            .pipes(EventInput::new("0123456789"), output.clone());
        let mut store = Store::new(&engine, Preview1::new(process));
        let instance = linker.instantiate_async(&mut store, &module).await.unwrap();
        Self { store, instance, log, output }
    }

    async fn ours(began: Instant) -> Self {
        Self::new(|linker| Preview1::add_plain(linker, |state| state), began).await
    }

    async fn wasmtimes() -> Self {
        let add = |linker: &mut Linker<Preview1>| {
            p1::add_to_linker_async(linker, |state: &mut Preview1| state.wasi())
        };
        Self::new(add, Instant::now()).await
    }

    async fn call(&mut self, name: &str, arguments: &[i64]) -> wasmtime::Result<i32> {
        let function = self.instance.get_func(&mut self.store, name).unwrap();
        let types = function.ty(&self.store);
        let given = types.params().zip(arguments).map(|(kind, &value)| match kind.is_i32() {
            true => Val::I32(i32::try_from(value).unwrap()),
            false => Val::I64(value),
        });
        let given: Vec<_> = given.collect();
        let mut answer = vec![Val::I32(-1); types.results().len()];
        function.call_async(&mut self.store, &given, &mut answer).await?;
        Ok(answer.first().map_or(-1, Val::unwrap_i32))
    }

    fn memory(&mut self) -> &mut [u8] {
        let memory = self.instance.get_memory(&mut self.store, "memory").unwrap();
        memory.data_mut(&mut self.store)
    }

    fn put(&mut self, at: i32, bytes: &[u8]) {
        let at = usize::try_from(at).unwrap();
        self.memory()[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn number(&mut self, at: i32) -> u64 {
        let at = usize::try_from(at).unwrap();
        u64::from_le_bytes(self.memory()[at..at + 8].try_into().unwrap())
    }

    /// Names buffers, each by its place and length.
    fn list(&mut self, buffers: &[(i32, i32)]) {
        let words = buffers.iter().flat_map(|(at, length)| [*at, *length]);
        let bytes: Vec<_> = words.flat_map(i32::to_le_bytes).collect();
        self.put(LIST, &bytes);
    }
}

fn text() -> String {
    let (mut imports, mut functions) = (String::new(), String::new());
    for (name, parameters) in IMPORTS {
        let kind = format!("(param {parameters}) (result i32)");
        writeln!(imports, "(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} {kind}))")
            .unwrap();
        let count = parameters.split_whitespace().count();
        let pass: String = (0..count).map(|index| format!("local.get {index} ")).collect();
        writeln!(functions, "(func (export \"{name}\") {kind} {pass} call ${name})").unwrap();
    }
    format!(
        r#"(module {imports}
            (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
            (memory (export "memory") 40)
            {functions}
            (func (export "proc_exit") (param i32) local.get 0 call $proc_exit))"#
    )
}

/// Calls after which the streams are where they were.
const PLAIN: &[(&str, &[i64])] = &[
    ("args_sizes_get", &[16, 20]),
    ("args_get", &[32, 64]),
    ("environ_sizes_get", &[16, 20]),
    ("environ_get", &[32, 64]),
    ("environ_get", &[65_532, 65_500]),
    ("fd_fdstat_get", &[0, 128]),
    ("fd_fdstat_get", &[1, 128]),
    ("fd_fdstat_get", &[2, 128]),
    ("fd_fdstat_get", &[3, 128]),
    ("fd_prestat_get", &[0, 128]),
    ("fd_prestat_get", &[3, 128]),
    ("fd_write", &[1, LIST as i64, 1, RESULT as i64]),
    ("fd_write", &[2, LIST as i64, 1, RESULT as i64]),
    ("fd_write", &[2, LIST as i64, 0, RESULT as i64]),
    ("fd_write", &[0, LIST as i64, 1, RESULT as i64]),
    ("fd_write", &[-1, LIST as i64, 1, RESULT as i64]),
    ("fd_read", &[0, LIST as i64, 1, RESULT as i64]),
    ("fd_read", &[1, LIST as i64, 1, RESULT as i64]),
    ("fd_read", &[7, LIST as i64, 1, RESULT as i64]),
    ("clock_time_get", &[2, 0, 128]),
    ("clock_time_get", &[3, 0, 128]),
    ("sched_yield", &[]),
];

/// Calls by which the streams are changed, and what they are good for then.
const CHANGING: &[(&str, &[i64])] = &[
    ("fd_seek", &[1, 0, 1, 128]),
    ("fd_close", &[1]),
    ("fd_close", &[1]),
    ("fd_write", &[1, LIST as i64, 1, RESULT as i64]),
    ("fd_fdstat_get", &[1, 128]),
    ("fd_renumber", &[2, 1]),
    ("fd_write", &[1, LIST as i64, 1, RESULT as i64]),
    ("fd_write", &[2, LIST as i64, 1, RESULT as i64]),
    ("fd_read", &[0, LIST as i64, 1, RESULT as i64]),
    ("fd_read", &[0, LIST as i64, 1, RESULT as i64]),
    ("fd_read", &[0, LIST as i64, 1, RESULT as i64]),
    ("fd_close", &[0]),
    ("fd_read", &[0, LIST as i64, 1, RESULT as i64]),
];

#[tokio::test]
async fn a_guest_cannot_tell_them_from_wasmtimes() {
    let (mut ours, mut theirs) = (Guest::ours(Instant::now()).await, Guest::wasmtimes().await);
    let calls = PLAIN.iter().map(|call| (call, false));
    for ((name, arguments), is_changing) in calls.chain(CHANGING.iter().map(|call| (call, true))) {
        let mut said = Vec::new();
        for guest in [&mut ours, &mut theirs] {
            guest.list(&[(4096, 4)]);
            guest.put(RESULT, &[0xee; 8]);
            said.push(guest.call(name, arguments).await.unwrap());
        }
        assert_eq!(said[0], said[1], "{name} {arguments:?}");
        assert!(ours.memory() == theirs.memory(), "{name} {arguments:?}");
        let is_made = ours.store.data().wasi.is_some();
        assert_eq!(is_made, is_changing, "{name} {arguments:?} made the whole context, or did not");
    }
    assert_eq!(ours.output.take(), theirs.output.take());
    assert_eq!(*ours.log.0.lock(), *theirs.log.0.lock());
    assert_eq!(
        ours.log.0.lock().len(),
        2,
        "both wrote to the log before, and where it was moved to"
    );
}

#[tokio::test]
async fn pointers_that_lead_nowhere_trap() {
    let end = 40 << 16;
    for (name, arguments) in [
        ("args_sizes_get", &[end, 0][..]),
        ("args_sizes_get", &[0, end - 3]),
        ("args_sizes_get", &[1, 8]),
        ("environ_get", &[end - 4, 64]),
        ("environ_get", &[32, end - 8]),
        ("environ_get", &[32, -8]),
        ("clock_time_get", &[0, 0, end - 4]),
        ("clock_time_get", &[0, 0, 4]),
        ("clock_time_get", &[-1, 0, 8]),
        ("fd_fdstat_get", &[1, end - 8]),
        ("fd_write", &[1, end - 4, 1, RESULT.into()]),
        ("fd_write", &[1, LIST.into(), 1, end]),
        ("fd_read", &[0, -8, 1, RESULT.into()]),
        ("random_get", &[end - 1, 2]),
        ("random_get", &[-1, -1]),
        ("random_get", &[0, (1 << 20) + 1]),
    ] {
        for mut guest in [Guest::ours(Instant::now()).await, Guest::wasmtimes().await] {
            guest.list(&[(4096, 4)]);
            let said = guest.call(name, arguments).await;
            assert!(said.is_err(), "{name} {arguments:?}: {said:?}");
        }
    }
}

#[tokio::test]
async fn a_list_is_read_and_written_whole_and_to_a_bound() {
    let mut guest = Guest::ours(Instant::now()).await;
    guest.put(4096, b"hello, world");
    guest.list(&[(4096, 5), (0, 0), (4101, 7)]);
    let list = i64::from(LIST);
    assert_eq!(guest.call("fd_write", &[1, list, 3, RESULT.into()]).await.unwrap(), SUCCESS);
    assert_eq!(guest.number(RESULT) & 0xffff_ffff, 12);
    assert_eq!(guest.output.take().0, "hello, world");
    guest.list(&[(8192, 4), (8200, 100), (8300, 100)]);
    assert_eq!(guest.call("fd_read", &[0, list, 3, RESULT.into()]).await.unwrap(), SUCCESS);
    assert_eq!(guest.number(RESULT) & 0xffff_ffff, 10);
    assert_eq!(&guest.memory()[8192..8196], b"0123");
    assert_eq!(&guest.memory()[8200..8206], b"456789");
    // The same mebibyte, named a hundred times.
    guest.list(&[(1 << 20, 1 << 20); 100]);
    assert_eq!(guest.call("fd_write", &[2, list, 100, RESULT.into()]).await.unwrap(), SUCCESS);
    assert_eq!(guest.number(RESULT) & 0xffff_ffff, 1 << 20);
    // More than that at once: the log takes a part and says so, an answer is kept whole.
    guest.list(&[(0, 2 << 20)]);
    for (fd, length) in [(2, 1 << 20), (1, 2 << 20)] {
        assert_eq!(guest.call("fd_write", &[fd, list, 1, RESULT.into()]).await.unwrap(), SUCCESS);
        assert_eq!(guest.number(RESULT) & 0xffff_ffff, length);
    }
    assert_eq!(guest.output.take().1, 2 << 20);
    // Empty ones without an end.
    guest.memory().fill(0);
    assert_eq!(guest.call("fd_write", &[2, 0, 300_000, RESULT.into()]).await.unwrap(), SUCCESS);
    assert_eq!(guest.number(RESULT) & 0xffff_ffff, 0);
}

#[tokio::test]
async fn random_bytes_are_random() {
    let mut guest = Guest::ours(Instant::now()).await;
    assert_eq!(guest.call("random_get", &[0, 1 << 20]).await.unwrap(), SUCCESS);
    let (first, rest) = guest.memory()[..1 << 20].split_at(16);
    assert!(rest.chunks(16).all(|other| other != first));
    assert_eq!(guest.call("random_get", &[0, 0]).await.unwrap(), SUCCESS);
}

#[tokio::test]
async fn an_exit_has_its_status() {
    for (status, is_allowed) in [(0, true), (1, true), (125, true), (126, false), (-1, false)] {
        for mut guest in [Guest::ours(Instant::now()).await, Guest::wasmtimes().await] {
            let error = guest.call("proc_exit", &[status]).await.unwrap_err();
            let seen = error.downcast_ref::<I32Exit>().map(|exit| i64::from(exit.0));
            assert_eq!(seen, is_allowed.then_some(status), "{error}");
        }
    }
}

#[tokio::test]
async fn its_clock_is_the_one_that_it_sleeps_by() {
    // As if it had begun an hour ago.
    let began = Instant::now().checked_sub(Duration::from_secs(3600)).unwrap();
    let mut guest = Guest::ours(began).await;
    assert_eq!(guest.call("clock_time_get", &[1, 0, RESULT.into()]).await.unwrap(), SUCCESS);
    let now = guest.number(RESULT);
    assert!(now >= 3_600_000_000_000, "{now}");
    assert_eq!(guest.call("clock_time_get", &[0, 0, RESULT.into()]).await.unwrap(), SUCCESS);
    assert!(guest.number(RESULT) > 1_700_000_000_000_000_000);
    // A subscription to this clock, at a moment and not after a time.
    let mut subscription = [0_u8; 48];
    subscription[16..20].copy_from_slice(&1_u32.to_le_bytes());
    subscription[24..32].copy_from_slice(&(now + 1_000_000).to_le_bytes());
    subscription[40..42].copy_from_slice(&1_u16.to_le_bytes());
    guest.put(4096, &subscription);
    let arguments = [4096, 8192, 1, RESULT.into()];
    let polled = guest.call("poll_oneoff", &arguments);
    let polled = tokio::time::timeout(Duration::from_secs(600), polled).await;
    assert_eq!(polled.expect("it does not sleep for an hour").unwrap(), SUCCESS);
    assert_eq!(guest.number(RESULT) & 0xffff_ffff, 1);
}

#[tokio::test]
async fn who_has_no_pipes_reads_nothing_and_writes_to_the_log() {
    let mut guest = Guest::ours(Instant::now()).await;
    guest.store.data_mut().process.pipes = None;
    guest.put(4096, b"line\n");
    guest.list(&[(4096, 5)]);
    for (name, fd, length) in [("fd_write", 1, 5), ("fd_read", 0, 0)] {
        let said = guest.call(name, &[fd, LIST.into(), 1, RESULT.into()]).await.unwrap();
        assert_eq!((said, guest.number(RESULT) & 0xffff_ffff), (SUCCESS, length), "{name}");
    }
    assert_eq!(*guest.log.0.lock(), [(Stream::Stdout, b"line\n".to_vec())]);
    assert_eq!(guest.call("fd_prestat_get", &[3, 0]).await.unwrap(), BADF);
}
