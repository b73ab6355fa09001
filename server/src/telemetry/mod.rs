//! What the operator sees: log lines on standard error and figures on `/metrics`. Knows no request and decides nothing.

mod collector;
mod logging;
mod metrics;
mod outgoing;
mod spread;

pub use collector::{Figures, FiguresSource};
pub use logging::{LogGuard, start_logging};
pub use metrics::{Metrics, MetricsError};
