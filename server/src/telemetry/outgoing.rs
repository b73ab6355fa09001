//! Figures of functions' outgoing requests, read at each scrape. A function that never made one is not shown.

use std::collections::BTreeMap;

use hearth_engine::{EgressCounts, FunctionStats};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use super::collector::{SHOWN_FUNCTIONS, pool_name};

/// A figure: its name, its help, its label beside the function's, and its values by that label.
struct Figure {
    name: &'static str,
    help: &'static str,
    label: Option<&'static str>,
    values: fn(&EgressCounts) -> Vec<(&'static str, u64)>,
}

const FIGURES: [Figure; 5] = [
    Figure {
        name: "hearth_outgoing_sent",
        help: "Outgoing requests of functions that were sent, or tried to",
        label: None,
        values: |counts| vec![("", counts.sent)],
    },
    Figure {
        name: "hearth_outgoing_reused",
        help: "Those of them that took a connection which an earlier one had left",
        label: None,
        values: |counts| vec![("", counts.reused)],
    },
    Figure {
        name: "hearth_outgoing_failed",
        help: "Outgoing requests that were granted and brought no whole response",
        label: None,
        values: |counts| vec![("", counts.failed)],
    },
    Figure {
        name: "hearth_outgoing_denied",
        help: "Outgoing requests that were denied, by reason",
        label: Some("reason"),
        values: |counts| counts.denied().to_vec(),
    },
    Figure {
        name: "hearth_outgoing_bytes",
        help: "Bytes of bodies of outgoing requests, by direction",
        label: Some("direction"),
        values: |counts| vec![("out", counts.sent_bytes), ("in", counts.received_bytes)],
    },
];

pub(super) fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    functions: &[FunctionStats],
) -> std::fmt::Result {
    let busy = functions.iter().filter(|stats| stats.egress != EgressCounts::default());
    let busy: Vec<_> = busy.map(|stats| (pool_name(&stats.identity), stats.egress)).collect();
    for Figure { name, help, label, values } in FIGURES {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        // As with pools: what has one name is one to those who watch.
        let mut sums: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        for (function, counts) in &busy {
            let sum = sums.entry(function).or_default();
            for (of, count) in values(counts) {
                *sum.entry(of).or_default() += count;
            }
        }
        for (function, by) in sums.into_iter().take(SHOWN_FUNCTIONS) {
            for (of, count) in by {
                let counter = ConstCounter::new(count);
                match label {
                    Some(label) => counter
                        .encode(family.encode_family(&[("function", function), (label, of)])?)?,
                    None => counter.encode(family.encode_family(&[("function", function)])?)?,
                }
            }
        }
    }
    Ok(())
}
