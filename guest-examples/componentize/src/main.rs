//! The build tool of the guests: `componentize wat IN OUT` assembles text, `componentize component --FLAVOUR IN OUT` wraps a core
//! module. It does what `wasm-tools` would, in one small binary whose versions are pinned by this workspace, and knows nothing of guests.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use wasi_preview1_component_adapter_provider as adapters;
use wit_component::ComponentEncoder;

const USAGE: &str = "usage: componentize wat IN.wat OUT.wasm
       componentize component [--command|--reactor|--proxy|--plain] IN.wasm OUT.wasm

--command, --reactor and --proxy answer imports of wasi_snapshot_preview1 with the adapter of that name;
--plain adapts nothing, for modules that import only what their WIT world lists.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["wat", input, output] => assemble(Path::new(input), Path::new(output)),
        ["component", flavour, input, output] => wrap(flavour, Path::new(input), Path::new(output)),
        _ => Err(anyhow::anyhow!(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Text to binary. Names of functions are kept: backtraces in tests are read by them.
fn assemble(input: &Path, output: &Path) -> Result<()> {
    let bytes = wat::parse_file(input)?;
    fs::write(output, bytes).with_context(|| format!("writing {}", output.display()))
}

/// A core module that carries its WIT in custom sections (or only imports WASI 0.1) to a component.
fn wrap(flavour: &str, input: &Path, output: &Path) -> Result<()> {
    let adapter = match flavour {
        "--command" => Some(adapters::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER),
        "--reactor" => Some(adapters::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER),
        "--proxy" => Some(adapters::WASI_SNAPSHOT_PREVIEW1_PROXY_ADAPTER),
        "--plain" => None,
        other => bail!("unknown flavour {other}\n{USAGE}"),
    };
    let module = fs::read(input).with_context(|| format!("reading {}", input.display()))?;
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module)?;
    if let Some(bytes) = adapter {
        encoder.adapter(adapters::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, bytes)?;
    }
    let component =
        encoder.encode().with_context(|| format!("making a component of {}", input.display()))?;
    fs::write(output, component).with_context(|| format!("writing {}", output.display()))
}
