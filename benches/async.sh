#!/usr/bin/env bash
# Async invocations on one machine: how many are accepted a second (each on disk before its 202) beside a bare axum hello, how fast a no-op
# function works them down, and what a sync caller pays meanwhile. Needs wrk. Ends only what it started.
#
#   benches/async.sh [SECONDS of each round, default 4] [ROUNDS, default 3]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-4} rounds=${2:-3} connections=64
command -v wrk >/dev/null || { echo "needs wrk (Debian: apt-get install wrk)" >&2; exit 1; }

[[ -n ${BENCH_BUILT:-} ]] || cargo build --quiet --profile bench -p hearth -p hearth-benches --bins
target=${CARGO_TARGET_DIR:-target}/release
scratch=$(mktemp -d -p "${BENCH_DIR:-${TMPDIR:-/tmp}}")
pids=()
trap '((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true; rm -rf "$scratch"' EXIT

start() { # NAME FLAGS...: a server with an echo; its URL
    local name=$1; shift
    "$target/hearth" serve --listen 127.0.0.1:0 --data-dir "$scratch/$name" --port-file "$scratch/$name.ports" \
        --queue-depth 100000000 "$@" 2>"$scratch/$name.log" & pids+=($!)
    for _ in $(seq 100); do [[ -s $scratch/$name.ports ]] && break; sleep 0.1; done
    url=$(sed 's/.*"url":"\([^"]*\)".*/\1/' "$scratch/$name.ports")
    "$target/hearth" --server "$url" deploy guest-examples/wat-echo/wat-echo.wasm --name bench/echo >/dev/null 2>&1
}
stop() { kill "${pids[-1]}"; wait "${pids[-1]}" 2>/dev/null || true; unset 'pids[-1]'; }
stat() { curl -fsS "$1/hearth/v1/stats" | sed "s/.*\"$2\":\([0-9]*\).*/\1/"; }

payload='wrk.method = "POST"\nwrk.body = string.rep("x", 1024)\n'
printf "$payload" >"$scratch/sync.lua"
printf "$payload"'wrk.headers["X-Fc-Invocation-Type"] = "Async"\n' >"$scratch/async.lua"
load() { # LUA URL CONNECTIONS SECONDS: rps p50 p99 (ms) errors
    wrk -t1 -c"$3" -d"$4" --latency -s "$scratch/$1.lua" "$2" | awk '
        function ms(t) { return t ~ /us$/ ? t / 1000 : t ~ /ms$/ ? t + 0 : t * 1000 }
        /Requests\/sec/ {rps = $2} /50%/ {p50 = ms($2)} /99%/ {p99 = ms($2)} /Non-2xx/ {bad = $NF}
        END {print rps, p50, p99, bad + 0}'
}
median() { sort -g "$1" | sed -n "$((($(wc -l <"$1") + 1) / 2))p"; }

"$target/bare-axum" >"$scratch/axum" & pids+=($!)
for _ in $(seq 100); do [[ -s $scratch/axum ]] && break; sleep 0.1; done
axum="http://$(cat "$scratch/axum")/"
invocations=2016-08-15/services/bench/functions/echo/invocations

# Accepting alone: nothing is worked down while it is measured.
start accept --queue-concurrency 0
for ((round = 1; round <= rounds; round++)); do
    load sync "$axum" $connections "$seconds" >>"$scratch/axum.rounds"
    load async "$url/$invocations" $connections "$seconds" >>"$scratch/accept.rounds"
done
waiting=$(stat "$url" queue_depth)
held=$(awk '/VmRSS/ {print int($2 / 1024)}' "/proc/${pids[-1]}/status")
stop

# Working down what was accepted, then the same with a sync caller beside it.
start_ms=$(date +%s%3N)
"$target/hearth" serve --listen 127.0.0.1:0 --data-dir "$scratch/accept" --port-file "$scratch/drain.ports" \
    --queue-depth 100000000 --queue-concurrency 256 2>"$scratch/drain.log" & pids+=($!)
for _ in $(seq 100); do [[ -s $scratch/drain.ports ]] && break; sleep 0.1; done
url=$(sed 's/.*"url":"\([^"]*\)".*/\1/' "$scratch/drain.ports")
sleep 0.3
before=$(stat "$url" settled) at=$(date +%s%3N)
sleep 1
drained=$((($(stat "$url" settled) - before) * 1000 / ($(date +%s%3N) - at)))
# Short rounds: what was accepted is soon worked down.
for ((round = 1; round <= 3; round++)); do
    load sync "$url/$invocations" 1 1 >>"$scratch/busy.all"
    left=$(stat "$url" queue_depth)
    ((left > 0)) && cp "$scratch/busy.all" "$scratch/busy.rounds"
done
while (($(stat "$url" queue_depth) > 0)); do sleep 0.2; done
for ((round = 1; round <= 3; round++)); do load sync "$url/$invocations" 1 1 >>"$scratch/idle.rounds"; done
stop
[[ -s $scratch/busy.rounds ]] || { echo "the queue was empty before a round of sync calls had ended: give it more SECONDS" >&2; exit 1; }

read -r axum_rps _ _ _ < <(median "$scratch/axum.rounds")
read -r rps p50 p99 bad < <(median "$scratch/accept.rounds")
p99() { awk '{print $3}' "$1" >"$1.p99"; median "$1.p99"; }
busy=$(p99 "$scratch/busy.rounds") idle=$(p99 "$scratch/idle.rounds")
printf 'accepted          %8.0f a second, p50 %.2f ms, p99 %.2f ms, %.2f of axum (%.0f)%s\n' "$rps" "$p50" "$p99" \
    "$(awk -v a="$rps" -v b="$axum_rps" 'BEGIN {print a / b}')" "$axum_rps" "$( ((bad)) && echo ", $bad errors" || true)"
printf 'worked down       %8d a second, of %d that waited; the server held %d MiB with all of them queued\n' "$drained" "$waiting" "$held"
printf 'sync p99          %8.2f ms while it is worked down, %.2f ms idle: %.2f times\n' "$busy" "$idle" \
    "$(awk -v a="$busy" -v b="$idle" 'BEGIN {print a / b}')"
