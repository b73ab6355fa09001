#!/usr/bin/env bash
# What is accepted is on disk before the caller hears of it: watches the system calls of a real server (strace) while it takes async
# invocations. Between the request that is read and its 202 there must be a write to the store's log and a sync of it. Needs strace and curl;
# ends only what it started.
#
#   tests/order.sh [path of hearth, default target/debug/hearth]
set -euo pipefail
cd "$(dirname "$0")/.."
hearth=${1:-${CARGO_TARGET_DIR:-target}/debug/hearth}
calls=20
for tool in strace curl; do command -v "$tool" >/dev/null || { echo "needs $tool" >&2; exit 1; }; done
scratch=$(mktemp -d)
tracer=
trap '[[ -z $tracer ]] || { pkill -TERM -P "$tracer" || true; wait "$tracer" || true; }; rm -rf "$scratch"' EXIT

strace -f -y -qq -s 40 -e trace=fsync,fdatasync,pwrite64,pwritev,read,recvfrom,write,writev,sendto -o "$scratch/trace" \
    "$hearth" serve --listen 127.0.0.1:0 --data-dir "$scratch/data" --port-file "$scratch/port" >/dev/null 2>"$scratch/log" & tracer=$!
for ((tries = 0; tries < 300; tries++)); do [[ -s $scratch/port ]] && break; sleep 0.1; done
url=$(sed 's/.*"url":"\([^"]*\)".*/\1/' "$scratch/port")
"$hearth" --server "$url" deploy guest-examples/wat-echo/wat-echo.wasm --name order/echo >/dev/null 2>&1
for ((call = 0; call < calls; call++)); do
    status=$(curl -sS -m 30 -o /dev/null -w '%{http_code}' -H 'x-fc-invocation-type: Async' -d event \
        "$url/2016-08-15/services/order/functions/echo/invocations")
    [[ $status == 202 ]] || { echo "an async invocation was answered $status" >&2; exit 1; }
done

# What runs the events writes as well, so only what comes after a request was read counts for it. A call that others interrupt is shown in
# two lines: a write counts from its first, a sync from its end.
awk -v calls="$calls" '
    /"POST \/2016-08-15\// { come = 1; written = synced = 0 }
    /hearth\.db-wal>/ && /pwrite/ && !/resumed/ { written = come }
    (/hearth\.db-wal>.*\) += 0/ && /sync\(/) || /sync resumed.*\) += 0/ { synced = written; syncs++ }
    /HTTP\/1\.1 202/ { accepted++; if (!synced) { early++; print "answered before it was synced: " $0 }; come = 0 }
    END {
        printf "%d accepted, %d syncs, %d answered early\n", accepted, syncs, early
        exit !(accepted == calls && early == 0)
    }' "$scratch/trace"
