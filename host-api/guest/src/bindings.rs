//! The generated side of the crate: one module of bindings per world of `wit/worlds.wit`. Nothing is written here by hand, and
//! the lints that generated code cannot meet are off here and nowhere else. Public because macros expand to paths into it.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::undocumented_unsafe_blocks,
    clippy::doc_markdown,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::panic,
    clippy::or_fun_call,
    clippy::needless_pass_by_value,
    reason = "generated code"
)]

wit_bindgen::generate!({
    path: ["../wit/deps/logging.wit", "../wit/function.wit", "wit"],
    world: "hearth:guest/event-function",
    pub_export_macro: true,
    default_bindings_module: "hearth_guest::bindings",
    generate_all,
});

pub mod initialize {
    wit_bindgen::generate!({
        path: ["../wit/deps/logging.wit", "../wit/function.wit", "wit"],
        world: "hearth:guest/initialize-hook",
        pub_export_macro: true,
        export_macro_name: "export_initialize",
        default_bindings_module: "hearth_guest::bindings::initialize",
        with: { "hearth:function/types@0.1.0": crate::bindings::hearth::function::types },
        generate_all,
    });
}

pub mod pre_freeze {
    wit_bindgen::generate!({
        path: ["../wit/deps/logging.wit", "../wit/function.wit", "wit"],
        world: "hearth:guest/pre-freeze-hook",
        pub_export_macro: true,
        export_macro_name: "export_pre_freeze",
        default_bindings_module: "hearth_guest::bindings::pre_freeze",
        with: { "hearth:function/types@0.1.0": crate::bindings::hearth::function::types },
        generate_all,
    });
}

pub mod pre_stop {
    wit_bindgen::generate!({
        path: ["../wit/deps/logging.wit", "../wit/function.wit", "wit"],
        world: "hearth:guest/pre-stop-hook",
        pub_export_macro: true,
        export_macro_name: "export_pre_stop",
        default_bindings_module: "hearth_guest::bindings::pre_stop",
        with: { "hearth:function/types@0.1.0": crate::bindings::hearth::function::types },
        generate_all,
    });
}

pub mod websocket {
    wit_bindgen::generate!({
        path: ["../wit/deps/logging.wit", "../wit/function.wit", "wit"],
        world: "hearth:guest/websocket-handler",
        pub_export_macro: true,
        export_macro_name: "export_websocket",
        default_bindings_module: "hearth_guest::bindings::websocket",
        with: { "hearth:function/types@0.1.0": crate::bindings::hearth::function::types },
        generate_all,
    });
}
