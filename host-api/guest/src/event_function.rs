//! The one macro of the crate. It only connects: everything it does is a call into `serve`, so that errors of the compiler point at
//! the function and not at an expansion.

/// Makes the crate an event function. Use it once, at the top level of a `cdylib`.
///
/// The handler is a closure or the name of a function, from the event and the [`Context`](crate::Context) to a `Result` whose error is
/// [`Error`](crate::Error). The event is any `serde::Deserialize` type, the answer any `serde::Serialize` type, both as JSON; an empty
/// event reads as `null`, so `()` and `Option<T>` accept it.
///
/// ```
/// # use hearth_guest::{Context, Error, event_function};
/// fn double(number: i64, _: &Context) -> Result<i64, Error> {
///     number.checked_mul(2).ok_or_else(|| Error::new("TooLarge", "twice that is no i64"))
/// }
/// event_function!(double);
///
/// // The handler is an ordinary function for the crate's own tests.
/// # fn main() {
/// assert_eq!(double(4, &Context::default()), Ok(8));
/// # }
/// ```
///
/// An event that does not fit the type never reaches the handler: the invocation ends with an error of kind `InvalidEvent` that names
/// the field, the line and the column.
///
/// # Raw bytes
///
/// With `raw` in front, the handler gets and returns bytes, whatever they are.
///
/// ```
/// # use hearth_guest::{Context, Error, event_function};
/// event_function!(raw |event: &[u8], _: &Context| -> Result<Vec<u8>, Error> {
///     Ok(event.to_ascii_uppercase())
/// });
/// # fn main() {}
/// ```
///
/// # Lifecycle hooks
///
/// After the handler, any of `initialize`, `pre_freeze` and `pre_stop`. A hook that is not given is not exported, and the host does
/// not spend a call on it. `initialize` returns `Result<(), Error>`, the other two nothing.
///
/// ```
/// # use hearth_guest::{Context, Error, event_function, log};
/// use std::sync::OnceLock;
///
/// static GREETING: OnceLock<String> = OnceLock::new();
///
/// event_function!(
///     |name: String, _: &Context| -> Result<String, Error> {
///         Ok(format!("{} {name}", GREETING.get().map_or("hello", String::as_str)))
///     },
///     initialize = |_: &Context| -> Result<(), Error> {
///         let _ = GREETING.set(std::env::var("GREETING")?);
///         Ok(())
///     },
///     pre_stop = |_: &Context| log::info("goodbye"),
/// );
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! event_function {
    (raw $handler:expr $(, $hook:ident = $function:expr)* $(,)?) => {
        $crate::event_function!(@export raw, $handler $(, $hook = $function)*);
    };
    (@export $form:ident, $handler:expr $(, $hook:ident = $function:expr)*) => {
        const _: () = {
            struct EventFunction;

            impl $crate::bindings::exports::hearth::function::handler::Guest for EventFunction {
                fn handle(
                    event: ::std::vec::Vec<u8>,
                    context: $crate::Context,
                ) -> ::std::result::Result<
                    ::std::vec::Vec<u8>,
                    $crate::bindings::hearth::function::types::Error,
                > {
                    $crate::export::$form(&event, &context, $handler)
                }
            }

            $crate::bindings::export!(EventFunction with_types_in $crate::bindings);
            $($crate::event_function!(@hook $hook, $function);)*
        };
    };
    (@hook initialize, $function:expr) => {
        impl $crate::bindings::initialize::exports::hearth::function::initializer::Guest
            for EventFunction
        {
            fn initialize(
                context: $crate::Context,
            ) -> ::std::result::Result<(), $crate::bindings::hearth::function::types::Error> {
                $crate::export::initialize(&context, $function)
            }
        }
        $crate::bindings::initialize::export_initialize!(
            EventFunction with_types_in $crate::bindings::initialize
        );
    };
    (@hook pre_freeze, $function:expr) => {
        impl $crate::bindings::pre_freeze::exports::hearth::function::pre_freeze::Guest
            for EventFunction
        {
            fn pre_freeze(context: $crate::Context) {
                $crate::export::hook(&context, $function)
            }
        }
        $crate::bindings::pre_freeze::export_pre_freeze!(
            EventFunction with_types_in $crate::bindings::pre_freeze
        );
    };
    (@hook pre_stop, $function:expr) => {
        impl $crate::bindings::pre_stop::exports::hearth::function::pre_stop::Guest
            for EventFunction
        {
            fn pre_stop(context: $crate::Context) {
                $crate::export::hook(&context, $function)
            }
        }
        $crate::bindings::pre_stop::export_pre_stop!(
            EventFunction with_types_in $crate::bindings::pre_stop
        );
    };
    (@hook $other:ident, $function:expr) => {
        ::std::compile_error!(::std::concat!(
            "no lifecycle hook is called `",
            ::std::stringify!($other),
            "`; there are `initialize`, `pre_freeze` and `pre_stop`"
        ));
    };
    ($handler:expr $(, $hook:ident = $function:expr)* $(,)?) => {
        $crate::event_function!(@export json, $handler $(, $hook = $function)*);
    };
}
