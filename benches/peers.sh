#!/usr/bin/env bash
# The same wasi:http hello (guest-examples/rust-http, path /) on hearth and on other hosts, in alternating rounds of one run: requests a
# second, latency, what each held in memory, and hearth's ratios with their targets. Needs wrk and curl. Ends only what it started.
#
#   benches/peers.sh [SECONDS of each round, default 4] [ROUNDS, default 5] [CONNECTIONS, default 16]
#
# A table for a terminal, JSON for a pipe; FORMAT=table or FORMAT=json says which. Peers:
#   axum             no wasm: the ceiling (benches/bare_axum.rs)
#   hearth-reuse     on the proxy path, instances reused; hearth-fresh: each request gets a new one
#   wasmtime-reuse   wasmtime serve with the pooling allocator, kept-resident memory, pagemap scan, --max-instance-reuse-count 100000;
#                    wasmtime-fresh: the same with an instance for each request. From $WASMTIME, target/peers/bin or the path; get it with
#                    cargo install wasmtime-cli --version 48.0.8 --locked --root target/peers
#   workerd          a JavaScript hello. From $WORKERD or target/peers/node_modules; get it with npm install --prefix target/peers workerd
# One that is not found, or does not start, is said and left out.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-4} rounds=${2:-5} connections=${3:-16}
for tool in wrk curl; do command -v "$tool" >/dev/null || { echo "needs $tool (Debian: apt-get install $tool)" >&2; exit 1; }; done
format=${FORMAT:-$([[ -t 1 ]] && echo table || echo json)}

[[ -n ${BENCH_BUILT:-} ]] || cargo build --quiet --profile bench -p hearth -p hearth-benches --bins
target=${CARGO_TARGET_DIR:-target}
programs=${BENCH_PROGRAMS:-$target/release}
guest=guest-examples/rust-http/rust-http.wasm
scratch=$(mktemp -d -p "${BENCH_DIR:-${TMPDIR:-/tmp}}")
declare -A pids=() urls=() about=() missing=()
trap '((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true; rm -rf "$scratch"' EXIT
order=()

# within SECONDS COMMAND...: waits until it succeeds.
within() { local until=$((SECONDS + $1)); shift; until "$@"; do ((SECONDS < until)) || return 1; sleep 0.1; done; }
# joins NAME URL: a peer takes part if it says hello.
joins() {
    if within 10 curl -fsS -o "$scratch/$1.hello" "$2" 2>/dev/null && grep -q hello "$scratch/$1.hello"; then
        urls[$1]=$2 order+=("$1")
    else
        missing[$1]="started, but does not say hello at $2: $(tail -n 1 "$scratch/$1.log" 2>/dev/null || true)"
    fi
}
leaves() { missing[$1]=$2; }

# ---- the peers --------------------------------------------------------------------------------------------------------------------

"$programs/bare-axum" >"$scratch/axum" 2>"$scratch/axum.log" & pids[axum]=$!
if within 10 test -s "$scratch/axum"; then joins axum "http://$(<"$scratch/axum")/"; else leaves axum "does not start"; fi

# A server for each, so that the memory of each can be told.
for isolation in reuse fresh; do
    name=hearth-$isolation
    "$programs/hearth" serve --listen 127.0.0.1:0 --data-dir "$scratch/$name.data" --port-file "$scratch/$name.ports" \
        2>"$scratch/$name.log" & pids[$name]=$!
    within 10 test -s "$scratch/$name.ports" || { leaves "$name" "does not start: $(tail -n 1 "$scratch/$name.log")"; continue; }
    url=$(sed 's/.*"url":"\([^"]*\)".*/\1/' "$scratch/$name.ports")
    "$programs/hearth" --server "$url" deploy "$guest" --name bench/hello --isolation "$isolation" --http >"$scratch/$name.deploy" 2>&1 ||
        { leaves "$name" "does not deploy: $(tail -n 1 "$scratch/$name.deploy")"; continue; }
    joins "$name" "$url/2016-08-15/proxy/bench/hello/"
done

wasmtime=${WASMTIME:-}
[[ -n $wasmtime || ! -x $target/peers/bin/wasmtime ]] || wasmtime=$target/peers/bin/wasmtime
[[ -n $wasmtime ]] || wasmtime=$(command -v wasmtime || true)
for isolation in reuse fresh; do
    name=wasmtime-$isolation
    [[ -n $wasmtime ]] || { leaves "$name" "no wasmtime; see the head of $0"; continue; }
    about[$name]=$("$wasmtime" --version)
    uses=1
    [[ $isolation == fresh ]] || uses=100000
    "$wasmtime" serve --addr 127.0.0.1:0 -S cli -O pooling-allocator -O pooling-memory-keep-resident=2097152 \
        -O pooling-table-keep-resident=2097152 -O pooling-pagemap-scan=y \
        --max-instance-reuse-count "$uses" "$guest" >/dev/null 2>"$scratch/$name.log" & pids[$name]=$!
    within 20 grep -q 'http://' "$scratch/$name.log" || { leaves "$name" "does not start: $(tail -n 1 "$scratch/$name.log")"; continue; }
    joins "$name" "$(grep -o 'http://[^ ]*' "$scratch/$name.log" | head -n 1)"
done

workerd=${WORKERD:-$target/peers/node_modules/.bin/workerd}
if [[ -x $workerd ]]; then
    about[workerd]=$("$workerd" --version)
    port=$((20000 + RANDOM % 10000))
    printf "addEventListener('fetch', event => event.respondWith(new Response('hello from workerd\\\\n')));\n" >"$scratch/hello.js"
    cat >"$scratch/workerd.capnp" <<END
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .hello)],
  sockets = [(name = "http", address = "127.0.0.1:$port", http = (), service = "main")]
);
const hello :Workerd.Worker = (serviceWorkerScript = embed "hello.js", compatibilityDate = "2025-01-01");
END
    # The program itself, not the script around it: it is ended by its id, and its memory is looked at.
    program=$(readlink -f "$workerd")
    [[ $program != *.js && $program != */workerd/bin/workerd ]] ||
        program=$(find -L "$(dirname "$workerd")/../@cloudflare" -path '*linux*' -name workerd -type f 2>/dev/null | head -n 1)
    "${program:-$workerd}" serve "$scratch/workerd.capnp" >"$scratch/workerd.log" 2>&1 & pids[workerd]=$!
    joins workerd "http://127.0.0.1:$port/"
else
    leaves workerd "no workerd; see the head of $0"
fi

# ---- the rounds -------------------------------------------------------------------------------------------------------------------

load() { # SECONDS NAME: rps p50 p99 (ms) errors
    wrk -t1 -c"$connections" -d"$1" --latency "${urls[$2]}" | awk '
        function ms(t) { return t ~ /us$/ ? t / 1000 : t ~ /ms$/ ? t + 0 : t * 1000 }
        /Requests\/sec/ {rps = $2} /50%/ {p50 = ms($2)} /99%/ {p99 = ms($2)} /Non-2xx/ {bad += $NF}
        /Socket errors/ {gsub(",", ""); bad += $4 + $6 + $8 + $10}
        END {print rps, p50, p99, bad + 0}'
}
resident() { awk '/VmHWM/ {print int($2 / 1024)}' "/proc/${pids[$1]}/status"; }

for name in "${order[@]}"; do load 1 "$name" >/dev/null; done
for ((round = 1; round <= rounds; round++)); do
    [[ ! -t 2 ]] || printf '\rround %d of %d ' "$round" "$rounds" >&2
    for name in "${order[@]}"; do load "$seconds" "$name" >>"$scratch/$name.rounds"; done
done
[[ ! -t 2 ]] || printf '\r                \r' >&2

# ---- what came of it --------------------------------------------------------------------------------------------------------------

# median FILE COLUMN
median() {
    awk -v column="$2" '{print $column}' "$1" | sort -g | awk '{all[NR] = $1} END {print (all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2}'
}
figure() { median "$scratch/$1.rounds" "$2"; }
errors() { awk '{bad += $4} END {print bad + 0}' "$scratch/$1.rounds"; }
# ratio NAME PEER COLUMN: the median of the rounds' own ratios, as neighbours in time had the same machine.
ratio() {
    paste -d' ' "$scratch/$1.rounds" "$scratch/$2.rounds" | awk -v one="$3" '{print $one / $(one + 4)}' >"$scratch/ratios"
    median "$scratch/ratios" 1
}
# Name, peer, column, the target and whether it is a least or a most.
targets=(
    "hearth-reuse wasmtime-reuse 1 1.4 least rps"
    "hearth-reuse axum 1 0.6 least rps"
    "hearth-reuse wasmtime-reuse 3 1 most p99"
    "hearth-reuse workerd 1 3 least rps"
    "hearth-fresh wasmtime-fresh 1 1.5 least rps"
    "hearth-fresh wasmtime-fresh 3 1 most p99"
)
compared=()
for line in "${targets[@]}"; do
    read -r name peer column target side what <<<"$line"
    [[ -s $scratch/$name.rounds && -s $scratch/$peer.rounds ]] || continue
    found=$(ratio "$name" "$peer" "$column")
    met=$(awk -v found="$found" -v target="$target" -v side="$side" \
        'BEGIN {print (side == "least" ? found >= target : found <= target) ? "true" : "false"}')
    compared+=("$name $peer $what $found $side $target $met")
done

as_table() {
    printf '%-16s %10s %9s %9s %9s %7s\n' "" rps 'p50 ms' 'p99 ms' 'peak MiB' errors
    local name line
    for name in "${order[@]}"; do
        printf '%-16s %10.0f %9.3f %9.3f %9d %7d  %s\n' "$name" "$(figure "$name" 1)" "$(figure "$name" 2)" "$(figure "$name" 3)" \
            "$(resident "$name")" "$(errors "$name")" "${about[$name]:-}"
    done
    printf '\n'
    for line in "${compared[@]}"; do
        read -r name peer what found side target met <<<"$line"
        printf '%-14s %-4s %6.2f of %-16s at %-5s %4s  %s\n' \
            "$name" "$what" "$found" "$peer" "$side" "$target" "$([[ $met == true ]] && echo met || echo MISSED)"
    done
    for name in "${!missing[@]}"; do printf '%s left out: %s\n' "$name" "${missing[$name]}"; done
}

# A text as JSON.
quoted() { printf '"%s"' "$(tr -d '\000-\037' <<<"$1" | sed 's/[\\"]/\\&/g')"; }
as_json() {
    local name line comma=
    printf '{"seconds":%d,"rounds":%d,"connections":%d,"peers":{' "$seconds" "$rounds" "$connections"
    for name in "${order[@]}"; do
        printf '%s"%s":{"rps":%s,"p50_ms":%s,"p99_ms":%s,"peak_mib":%d,"errors":%d,"version":%s}' "$comma" "$name" "$(figure "$name" 1)" \
            "$(figure "$name" 2)" "$(figure "$name" 3)" "$(resident "$name")" "$(errors "$name")" "$(quoted "${about[$name]:-}")"
        comma=,
    done
    printf '},"ratios":['
    comma=
    for line in "${compared[@]}"; do
        read -r name peer what found side target met <<<"$line"
        printf '%s{"of":"%s","to":"%s","figure":"%s","ratio":%s,"target":{"at_%s":%s},"met":%s}' \
            "$comma" "$name" "$peer" "$what" "$found" "$side" "$target" "$met"
        comma=,
    done
    printf '],"left_out":{'
    comma=
    for name in "${!missing[@]}"; do printf '%s"%s":%s' "$comma" "$name" "$(quoted "${missing[$name]}")"; comma=,; done
    printf '}}\n'
}
"as_$format"
