#!/usr/bin/env bash
# A warm kind 4 echo over HTTP beside a bare axum hello, in alternating rounds on one machine, and beside `wasmtime serve` where that
# program is on the path; and the same echo with a line of log for each call, which every call's log keeps and the tail does not.
# Prints a table of medians and the ratio, and what the server held in memory while it was idle. Needs wrk. Ends only what it started.
#
#   benches/http.sh [SECONDS of each round, default 4] [ROUNDS, default 5]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-4} rounds=${2:-5} connections=16
command -v wrk >/dev/null || { echo "needs wrk (Debian: apt-get install wrk)" >&2; exit 1; }

cargo build --quiet --profile bench -p hearth -p hearth-benches --bins
target=${CARGO_TARGET_DIR:-target}/release
scratch=$(mktemp -d)
pids=()
trap '((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true; rm -rf "$scratch"' EXIT

"$target/bare-axum" >"$scratch/axum" & pids+=($!)
"$target/hearth" serve --listen 127.0.0.1:0 --data-dir "$scratch/data" --port-file "$scratch/ports" 2>"$scratch/log" & pids+=($!)
for _ in $(seq 100); do [[ -s $scratch/axum && -s $scratch/ports ]] && break; sleep 0.1; done
idle=$(awk '/VmRSS/ {printf "%.0f", $2 / 1024}' "/proc/${pids[1]}/status")
url=$(sed 's/.*"url":"\([^"]*\)".*/\1/' "$scratch/ports")
"$target/hearth" --server "$url" deploy guest-examples/wat-echo/wat-echo.wasm --name bench/echo >/dev/null 2>&1
"$target/hearth" --server "$url" deploy guest-examples/wat-log/wat-log.wasm --name bench/log >/dev/null 2>&1
"$target/hearth" --server "$url" deploy guest-examples/rust-http/rust-http.wasm --name bench/http >/dev/null 2>&1
printf 'wrk.method = "POST"\nwrk.body = "hello"\n' >"$scratch/post.lua"

declare -A urls=(
    [axum]="http://$(cat "$scratch/axum")/"
    [hearth-echo]="$url/2016-08-15/services/bench/functions/echo/invocations"
    [hearth-log]="$url/2016-08-15/services/bench/functions/log/invocations"
    [hearth-http]="$url/2016-08-15/services/bench/functions/http/invocations"
)
order=(axum hearth-echo hearth-log hearth-http)
if command -v wasmtime >/dev/null; then
    wasmtime serve --addr 127.0.0.1:19987 -Scli --max-instance-reuse-count 100000 -O pooling-allocator \
        -O pooling-memory-keep-resident=2097152 guest-examples/rust-http/rust-http.wasm >/dev/null 2>&1 & pids+=($!)
    sleep 1
    urls[wasmtime-serve]=http://127.0.0.1:19987/invoke
    order+=(wasmtime-serve)
fi

load() { wrk -t1 -c"$connections" -d"$1" --latency -s "$scratch/post.lua" "${urls[$2]}"; }
for name in "${order[@]}"; do load 1 "$name" >/dev/null; done
for ((round = 1; round <= rounds; round++)); do
    [[ ! -t 2 ]] || printf '\rround %d of %d ' "$round" "$rounds" >&2
    for name in "${order[@]}"; do
        load "$seconds" "$name" | awk '/Requests\/sec/ {rps = $2} /50%/ {p50 = $2} /99%/ {p99 = $2} /Non-2xx/ {bad = 1}
            END {print rps, p50, p99, bad + 0}' >>"$scratch/$name.rounds"
    done
done
[[ ! -t 2 ]] || printf '\r' >&2

median() { sort -g "$scratch/$1.rounds" | sed -n "$((rounds / 2 + 1))p"; }
ceiling=$(median axum | cut -d' ' -f1)
printf '%-16s %10s %10s %10s %8s\n' '' 'rps' 'p50' 'p99' 'of axum'
for name in "${order[@]}"; do
    read -r rps p50 p99 bad < <(median "$name")
    printf '%-16s %10.0f %10s %10s %8.2f%s\n' "$name" "$rps" "$p50" "$p99" \
        "$(awk -v a="$rps" -v b="$ceiling" 'BEGIN {print a / b}')" "$( ((bad)) && echo '  answered errors' || true)"
done
printf '\nidle server: %s MiB resident\n' "$idle"
