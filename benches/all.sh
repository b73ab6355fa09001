#!/usr/bin/env bash
# Everything that belongs in the one table, in one run: builds what it needs, measures, and writes table.md, table.json, an overview and the
# latencies as plots (SVG, and PNG where resvg is found) to target/bench. A table on a terminal, JSON in a pipe.
#
#   benches/all.sh [PART...] [--rounds 5] [--seconds 4] [--connections 16] [--out DIR] [--format table|json] [--quick]
#
# What is measured is what users build; with $HEARTH another program of it, such as a release's, which .ci/release makes.
# Parts: starts throughput latency memory neighbours. Peers that are not found are said, with how to get them: wasmtime from $WASMTIME, target/peers/bin
# or the path, spin likewise from $SPIN; workerd from $WORKERD or target/peers/node_modules; resvg from $RESVG, target/peers/bin or the path.
set -euo pipefail
cd "$(dirname "$0")/.."
# Figures are of what users run; in --quick, which only shows that it works, of what the tests run, which is soon built.
built=(--release -p hearth -p hearth-benches --bins) folder=release
for argument; do [[ $argument != --quick ]] || built=(--workspace --all-targets) folder=debug; done
[[ -n ${BENCH_BUILT:-} ]] || cargo build --quiet "${built[@]}"
exec "${BENCH_PROGRAMS:-${CARGO_TARGET_DIR:-target}/$folder}/table" "$@"
