//! Things that have one place: whoever looks for them knows where, and whoever reviews them reads one file.

use crate::settle;
use crate::source::{Source, has, sources};
use crate::tree::is_in;

/// What a rule looks into.
enum View {
    Code,
    Strings,
}

struct Place {
    what: &'static str,
    view: View,
    needles: &'static [&'static str],
    /// Rooms that the rule holds in.
    rooms: &'static [&'static str],
    /// Where it may be, each with the reason.
    only: &'static [(&'static str, &'static str)],
    /// Whether tests are free of it.
    spares_tests: bool,
    instead: &'static str,
}

/// The rooms that a server is made of.
const HOST: &[&str] = &["engine", "host-api", "platform", "server"];

const PLACES: &[Place] = &[
    Place {
        what: "unsafe code",
        view: View::Code,
        needles: &["unsafe", "unsafe_code"],
        rooms: &["engine", "host-api", "platform", "server", "tests", "benches"],
        only: &[
            ("engine/src/artifact/load.rs", "hands verified artifacts to wasmtime"),
            ("engine/src/priority.rs", "one system call that no crate has"),
            ("server/src/allocator.rs", "an allocator hands out memory"),
            ("server/src/large_code.rs", "replaces mapped code by the same on larger pages"),
            ("benches/in_process/bare.rs", "the baseline loads native code as the engine does"),
            ("host-api/guest/src/bindings.rs", "generated, and runs inside the sandbox"),
        ],
        spares_tests: false,
        instead: "use a safe interface; rustix has most of what libc has",
    },
    Place {
        what: "loading of native code",
        view: View::Code,
        needles: &[
            "Module::deserialize",
            "Module::deserialize_file",
            "Module::deserialize_raw",
            "Module::deserialize_open_file",
            "Component::deserialize",
            "Component::deserialize_file",
            "Component::deserialize_raw",
            "Module::from_trusted_file",
            "Module::from_file",
            "Component::from_file",
        ],
        rooms: HOST,
        only: &[("engine/src/artifact/load.rs", "the file was sealed by this machine's key")],
        spares_tests: true,
        instead: "ask the engine's artifacts; uploaded bytes always go through the compiler",
    },
    Place {
        what: "compilation in this process",
        view: View::Code,
        needles: &[
            "Module::new",
            "Component::new",
            "Module::from_binary",
            "Component::from_binary",
            "precompile_module",
            "precompile_component",
        ],
        rooms: HOST,
        only: &[(
            "engine/src/compile.rs",
            "off the async workers, bounded, or in the compiler child",
        )],
        spares_tests: true,
        instead: "load a function through the engine; compiling is bounded there",
    },
    Place {
        what: "wasmtime's configuration",
        view: View::Code,
        needles: &["wasmtime::Config", "Config::new()", "PoolingAllocationConfig"],
        rooms: HOST,
        only: &[(
            "engine/src/wasmtime_config.rs",
            "one place decides how every guest is compiled and given memory",
        )],
        spares_tests: true,
        instead: "add the setting there",
    },
    Place {
        what: "a call into a guest",
        view: View::Code,
        needles: &[
            "call_async",
            "call_handle",
            "call_run",
            "call_concurrent",
            "run_concurrent",
            "instantiate_async",
            "TypedFunc",
        ],
        rooms: HOST,
        only: &[("engine/src/guest", "one file per kind knows how to call it")],
        spares_tests: true,
        instead: "go through engine/src/invoke.rs, which arms deadline, limits and log",
    },
    Place {
        what: "an event given to an instance",
        view: View::Code,
        needles: &["instance.call("],
        rooms: HOST,
        only: &[("engine/src/invoke.rs", "the one line that every invocation takes")],
        spares_tests: true,
        instead: "go through engine/src/invoke.rs, which arms deadline, limits and log",
    },
    Place {
        what: "HTTP status codes",
        view: View::Code,
        needles: &["StatusCode", ".status()", "status.as_u16"],
        rooms: &["engine", "host-api", "platform"],
        only: &[
            ("engine/src/guest/http.rs", "an HTTP guest says by it whether it failed"),
            ("host-api/src/outgoing_http", "what another server answered a guest"),
            ("platform/src/objects/endpoint.rs", "whether a store took what it was given"),
        ],
        spares_tests: true,
        instead: "return a typed error; each dialect in server/ maps it to its code in one table",
    },
    Place {
        what: "a hop to another thread",
        view: View::Code,
        needles: &["spawn_blocking"],
        rooms: HOST,
        only: &[
            ("platform/src/deploy.rs", "inflating and hashing an upload takes a second"),
            ("platform/src/platform.rs", "opening the data directory, once"),
            ("platform/src/backup.rs", "copying the storage, by a command of its own"),
            ("platform/src/storage/code_store.rs", "hashing code, when it is stored or loaded"),
            ("platform/src/storage/whole_file.rs", "reading code and artifacts from disk"),
            ("platform/src/logs", "looking through log files"),
            ("server/src/http/body.rs", "letting go of a large body takes milliseconds"),
            (
                "server/src/dialect/function_compute/large.rs",
                "reading code from JSON takes a tenth of a second",
            ),
        ],
        spares_tests: true,
        instead: "waking another core costs more than a fresh instance; nothing from accept to guest may do it",
    },
    Place {
        what: "a whole file in one system call",
        view: View::Code,
        needles: &["fs::read(", "fs::write(", "fs::copy("],
        rooms: HOST,
        only: &[
            ("engine/src/artifact.rs", "a key of 32 bytes"),
            ("server/src/serve.rs", "certificates and their key"),
            ("server/src/http/port_file.rs", "a line"),
        ],
        spares_tests: true,
        instead: "a kernel that does not preempt itself keeps everybody from that core meanwhile; use hearth_engine::pieces",
    },
    Place {
        what: "the environment",
        view: View::Code,
        needles: &["env::var", "env::var_os", "env::vars", "env::set_var", "env::remove_var"],
        rooms: HOST,
        only: &[("server/src/cli/mod.rs", "NO_COLOR")],
        spares_tests: true,
        instead: "make it a setting in server/src/config; libraries are told, they do not look",
    },
    Place {
        what: "an item that enters the queue",
        view: View::Code,
        needles: &["Op::Enqueue { item"],
        rooms: HOST,
        only: &[
            ("platform/src/queue/accept.rs", "every way in: header, trigger, API"),
            (
                "platform/src/queue/settle.rs",
                "the event that tells of an end, in the commit of that end",
            ),
            (
                "platform/src/queue/dead_letter.rs",
                "a dead letter again, in the commit that takes it away",
            ),
            ("platform/src/storage", "what keeps it"),
        ],
        spares_tests: true,
        instead: "call Platform::enqueue, which checks target, bounds and depth and is durable when it returns",
    },
    Place {
        what: "writing to storage without the audit trail",
        view: View::Code,
        needles: &["storage.commit("],
        rooms: &["platform", "server"],
        only: &[
            ("platform/src/audit/trail.rs", "puts the record beside the change"),
            ("platform/src/catalog/writer.rs", "what nobody sees yet, or no more"),
            (
                "platform/src/catalog/versions.rs",
                "what an interrupted change left, before anybody asks",
            ),
            ("platform/src/journal.rs", "what came of invocations"),
            (
                "platform/src/queue",
                "invocations themselves; who stops one or queues it again goes by the trail",
            ),
        ],
        spares_tests: true,
        instead: "call Author::commit, which records who changes what in the same commit",
    },
    Place {
        what: "SQL",
        view: View::Strings,
        needles: &[
            "SELECT ",
            "INSERT INTO",
            "INSERT OR",
            "UPDATE ",
            "DELETE FROM",
            "CREATE TABLE",
            "CREATE INDEX",
            "PRAGMA ",
        ],
        rooms: HOST,
        only: &[("platform/src/storage/sqlite", "the only driver that speaks it")],
        spares_tests: true,
        instead: "use the storage interface in platform/src/storage",
    },
    Place {
        what: "the SQLite driver",
        view: View::Code,
        needles: &["rusqlite"],
        rooms: HOST,
        only: &[("platform/src/storage/sqlite", "behind the storage interface")],
        spares_tests: false,
        instead: "use the storage interface in platform/src/storage",
    },
];

fn searched(source: &Source, place: &Place) -> bool {
    place.rooms.iter().any(|room| is_in(source.path, room))
        && !(place.spares_tests && source.is_test())
}

/// A server takes what begins with `HEARTH_` for a setting, and refuses one that it does not know.
#[test]
fn a_variable_of_tests_is_not_taken_for_a_setting() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.is_test()) {
        for (number, (code, text)) in source.code.iter().zip(&source.strings).enumerate() {
            if (code.contains("var(") || code.contains("var_os(")) && text.contains("HEARTH_") {
                let path = source.path;
                found.push(format!(
                    "{path}:{}: a server started with it set refuses it; let it begin with what it is for",
                    number + 1
                ));
            }
        }
    }
    settle("variable of a test that a server refuses", &found);
}

#[test]
fn each_thing_is_in_its_place() {
    let mut found = Vec::new();
    for place in PLACES {
        let mut used = vec![false; place.only.len()];
        for source in sources().iter().filter(|source| searched(source, place)) {
            let lines = match place.view {
                View::Code => &source.code,
                View::Strings => &source.strings,
            };
            let end = if place.spares_tests { source.tests_from } else { lines.len() };
            let allowed = place.only.iter().position(|(path, _)| is_in(source.path, path));
            for (number, line) in lines.iter().enumerate().take(end) {
                let Some(needle) = place.needles.iter().find(|needle| has(line, needle)) else {
                    continue;
                };
                match allowed.and_then(|at| used.get_mut(at)) {
                    Some(used) => *used = true,
                    None => found.push(format!(
                        "{}:{}: {} (`{}`) belongs in {}; {}",
                        source.path,
                        number + 1,
                        place.what,
                        needle.trim(),
                        names(place),
                        place.instead
                    )),
                }
            }
        }
        for ((path, reason), used) in place.only.iter().zip(used) {
            if !used {
                found.push(format!(
                    "{path}: has no {} any more ({reason}); take it out of tests/tidy/places.rs",
                    place.what
                ));
            }
        }
    }
    settle("out of place", &found);
}

fn names(place: &Place) -> String {
    place.only.iter().map(|(path, _)| *path).collect::<Vec<_>>().join(", ")
}
