//! Tells the kind of guest from its top-level sections, without compiling or fully validating it.
//!
//! Bounded by the size of the binary, which the caller has checked. Nested modules and components are skipped, not entered. Whether
//! the code is valid is for the compiler to say; this only has to be right about valid code.

use wasmparser::{Encoding, ExternalKind, Parser, Payload};

use super::GuestKind;
use crate::LoadError;

/// The first bytes of any WebAssembly binary.
const MAGIC: &[u8] = b"\0asm";

/// What names of sections begin with that bindings of components leave in a core module
/// (<https://github.com/bytecodealliance/wasm-tools/blob/main/crates/wit-component/src/metadata.rs>).
const COMPONENT_TYPE: &str = "component-type";

/// Exports named in an error, at most.
const EXPORTS_NAMED: usize = 8;

/// Looks at `code` of the function named `function`.
pub(crate) fn detect(function: &str, code: &[u8]) -> Result<GuestKind, LoadError> {
    if wasmtime::Engine::detect_precompiled(code).is_some() {
        return Err(LoadError::Precompiled { function: function.to_owned() });
    }
    if !code.starts_with(MAGIC) {
        let found = describe_start(code);
        return Err(LoadError::NotWasm { function: function.to_owned(), found });
    }
    let surface = Surface::read(code).map_err(|why| LoadError::Invalid {
        function: function.to_owned(),
        why: why.to_string(),
    })?;
    surface.kind().ok_or_else(|| LoadError::NoAcceptedKind {
        function: function.to_owned(),
        found: surface.describe(),
    })
}

/// What a binary shows to the outside.
#[derive(Debug, Default)]
struct Surface {
    is_component: bool,
    exports: Vec<String>,
    has_memory: bool,
    /// A core module whose bindings left a description of the component that a tool was to make of it.
    is_half_made: bool,
}

impl Surface {
    fn read(code: &[u8]) -> wasmparser::Result<Self> {
        let mut surface = Self::default();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(code) {
            match payload? {
                Payload::Version { encoding, .. } if depth == 0 => {
                    surface.is_component = encoding == Encoding::Component;
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) if depth > 0 => depth -= 1,
                Payload::ExportSection(exports) if depth == 0 => {
                    for export in exports {
                        let export = export?;
                        if export.kind == ExternalKind::Memory {
                            surface.has_memory |= export.name == "memory";
                        } else if export.kind == ExternalKind::Func {
                            surface.exports.push(export.name.to_owned());
                        }
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    for export in exports {
                        surface.exports.push(export?.name.name.to_owned());
                    }
                }
                Payload::CustomSection(section) if depth == 0 => {
                    surface.is_half_made |=
                        !surface.is_component && section.name().starts_with(COMPONENT_TYPE);
                }
                _ => {}
            }
        }
        Ok(surface)
    }

    fn kind(&self) -> Option<GuestKind> {
        if self.is_component { self.component_kind() } else { self.core_kind() }
    }

    fn component_kind(&self) -> Option<GuestKind> {
        // An event handler says most about its author's intent, a command least.
        let kinds = [
            ("hearth:function/handler@0.1.", GuestKind::Event),
            ("wasi:http/handler@0.3.", GuestKind::HttpP3),
            ("wasi:http/incoming-handler@0.2.", GuestKind::HttpP2),
            ("wasi:cli/run@0.2.", GuestKind::CommandComponent),
        ];
        let is_exported =
            |prefix: &str| self.exports.iter().any(|export| export.starts_with(prefix));
        kinds.into_iter().find(|(prefix, _)| is_exported(prefix)).map(|(_, kind)| kind)
    }

    fn core_kind(&self) -> Option<GuestKind> {
        let has = |name: &str| self.exports.iter().any(|export| export == name);
        if self.has_memory && has("alloc") && has("handle") {
            Some(GuestKind::Core)
        } else if has("_start") {
            Some(GuestKind::Command)
        } else {
            None
        }
    }

    fn describe(&self) -> String {
        let what = match (self.is_component, self.is_half_made) {
            (true, _) => "a component",
            (false, true) => {
                "a core module that should have become a component (compile for wasm32-wasip2, or use `wasm-tools component new`)"
            }
            (false, false) => "a core module",
        };
        if self.exports.is_empty() {
            return format!("{what} without exports");
        }
        let named: Vec<&str> =
            self.exports.iter().take(EXPORTS_NAMED).map(String::as_str).collect();
        let more = self.exports.len().saturating_sub(EXPORTS_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{what} exporting {}{more}", named.join(", "))
    }
}

/// What something that is not WebAssembly seems to be.
fn describe_start(code: &[u8]) -> String {
    let known: [(&[u8], &str); 6] = [
        (b"PK\x03\x04", "a zip archive"),
        (b"\x1f\x8b", "gzip data"),
        (b"\x7fELF", "an ELF binary"),
        (b"(module", "WebAssembly text"),
        (b"(component", "WebAssembly text"),
        (b"#!", "a script"),
    ];
    if code.is_empty() {
        return "nothing: the file is empty".to_owned();
    }
    for (start, name) in known {
        if code.starts_with(start) {
            return name.to_owned();
        }
    }
    let start = code.get(..code.len().min(8)).unwrap_or_default();
    format!("the bytes {}", start.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind_of(text: &str) -> Result<GuestKind, LoadError> {
        detect("f", &binary(text))
    }

    fn binary(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn every_kind_is_told_by_its_exports() {
        let core = r#"(module (memory (export "memory") 1)
            (func (export "alloc") (param i32) (result i32) i32.const 0)
            (func (export "handle") (param i32 i32) (result i64) i64.const 0))"#;
        assert_eq!(kind_of(core).unwrap(), GuestKind::Core);
        let command = r#"(module (func (export "_start")))"#;
        assert_eq!(kind_of(command).unwrap(), GuestKind::Command);
        for (export, kind) in [
            ("hearth:function/handler@0.1.0", GuestKind::Event),
            ("wasi:http/incoming-handler@0.2.6", GuestKind::HttpP2),
            ("wasi:http/handler@0.3.0", GuestKind::HttpP3),
            ("wasi:cli/run@0.2.3", GuestKind::CommandComponent),
        ] {
            let component =
                format!(r#"(component (instance $i) (export "{export}" (instance $i)))"#);
            assert_eq!(kind_of(&component).unwrap(), kind);
        }
    }

    #[test]
    fn exports_of_a_nested_module_do_not_count() {
        let nested = r#"(component (core module (func (export "_start"))))"#;
        let LoadError::NoAcceptedKind { found, .. } = kind_of(nested).unwrap_err() else {
            panic!("accepted")
        };
        assert_eq!(found, "a component without exports");
    }

    #[test]
    fn what_is_refused_is_named() {
        let LoadError::NoAcceptedKind { found, .. } =
            kind_of(r#"(module (func (export "main")))"#).unwrap_err()
        else {
            panic!("accepted")
        };
        assert_eq!(found, "a core module exporting main");
        for (bytes, expected) in [
            (&b"PK\x03\x04.."[..], "a zip archive"),
            (b"", "nothing: the file is empty"),
            (b"abc", "the bytes 616263"),
        ] {
            let LoadError::NotWasm { found, .. } = detect("f", bytes).unwrap_err() else {
                panic!("accepted")
            };
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_not_yet_a_component_is_told_how_to_become_one() {
        let half = r#"(module (func (export "wasi:http/incoming-handler@0.2.0#handle"))
            (@custom "component-type:wit-bindgen:0.24.0:proxy" "\00"))"#;
        let said = kind_of(half).unwrap_err().to_string();
        assert!(said.contains("wasm32-wasip2") && said.contains("incoming-handler"), "{said}");
    }

    #[test]
    fn a_truncated_binary_is_invalid() {
        let whole = binary(r#"(module (func (export "_start")))"#);
        let cut = detect("f", &whole[..whole.len() - 3]).unwrap_err();
        assert!(matches!(cut, LoadError::Invalid { .. }), "{cut}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), wasm: bool) {
            if wasm {
                bytes.splice(0..0, *b"\0asm\x01\0\0\0");
            }
            let _ = detect("f", &bytes);
        }
    }
}
