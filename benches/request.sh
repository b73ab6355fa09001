#!/usr/bin/env bash
# What one HTTP request costs in instructions, through the whole server: reading it, the gateway, the call, the guest, the answer. Counted by
# valgrind on one core, so that it repeats within 1% however busy the machine is. The hello of guest-examples/rust-http on the proxy path, on
# a connection that is kept. Prints a table, or one line of JSON for each to a pipe. Needs valgrind, h2load and util-linux's taskset. Ends
# only what it started.
#
#   benches/request.sh [--program FILE] [--requests N] [--functions N] [--most INSTRUCTIONS]
#
# --program    the server; target/release/hearth if none is named, built if it is not there
# --requests   how many are counted, 2000 if it is not said
# --functions  tells the N functions that most instructions are in, what they call not counted (of a program with symbols)
# --most       fails if a request with a reused instance costs more than this
set -euo pipefail
cd "$(dirname "$0")/.."
program= functions=0 most=0 requests=2000
while (($#)); do
    case $1 in
        --program) program=${2:?} ;;
        --requests) requests=${2:?} ;;
        --functions) functions=${2:?} ;;
        --most) most=${2:?} ;;
        *) echo "benches/request.sh: what is '$1'?" >&2; exit 2 ;;
    esac
    shift 2
done
for needed in valgrind callgrind_control h2load taskset; do
    command -v $needed >/dev/null || { echo "needs $needed (Debian: valgrind, nghttp2-client, util-linux)" >&2; exit 1; }
done
if [[ -z $program ]]; then
    program=${CARGO_TARGET_DIR:-target}/release/hearth
    [[ -x $program ]] || cargo build --quiet --profile bench -p hearth -p hearth-benches --bins
fi

scratch=$(mktemp -d) server=
conclude() {
    [[ -z $server ]] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
    rm -rf "$scratch"
}
trap conclude EXIT

# Code is compiled in a child, for the processor that it finds: it has to find the same one.
taskset -c 0 valgrind --tool=callgrind --trace-children=yes --instr-atstart=no \
    --callgrind-out-file="$scratch/out.%p" \
    "$program" serve --listen 127.0.0.1:0 --data-dir "$scratch/data" --port-file "$scratch/ports" >"$scratch/log" 2>&1 &
server=$!
for _ in $(seq 600); do
    [[ ! -s $scratch/ports ]] && kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
[[ -s $scratch/ports ]] || { echo "the server does not start under valgrind:" >&2; cat "$scratch/log" >&2; exit 1; }
url=$(sed 's/.*"url":"\([^"]*\)".*/\1/' "$scratch/ports")

quiet() { "$@" >>"$scratch/control" 2>&1 || { cat "$scratch/control" "$scratch/log" >&2; exit 1; }; }
# load ISOLATION REQUESTS: so many, not so many seconds of them: a busy machine takes longer, and counts the same.
load() {
    local told
    told=$(h2load --h1 --clients=2 --threads=1 --requests="$2" "$url/2016-08-15/proxy/count/$1/")
    [[ $told == *" $2 2xx,"* ]] || { printf 'not answered well: %s\n' "$told" >&2; exit 1; }
}

# own DUMP: the instructions of each function itself, by https://valgrind.org/docs/manual/cl-format.html.
own() {
    awk '
        function named(text,  number) {
            number = text; sub(/ .*/, "", number)
            if (text ~ / /) {sub(/^[^ ]* /, "", text); names[number] = text}
            # Recursion has a number behind it.
            text = names[number]; sub(/\047[0-9]+$/, "", text)
            return text
        }
        sub(/^fn=/, "") {name = named($0); next}
        sub(/^cfn=/, "") {named($0); next}
        # The line behind a call is what was called, which is counted there.
        /^calls=/ {getline; next}
        /^[0-9+*-]/ {sum[name] += $2}
        END {for (name in sum) printf "%d %s\n", sum[name], name}' "$1"
}

dumps=0
[[ ! -t 1 ]] || printf '%-8s %14s\n' '' 'instructions'
for isolation in reuse fresh; do
    quiet "$program" --server "$url" deploy guest-examples/rust-http/rust-http.wasm --name "count/$isolation" \
        --isolation "$isolation" --http
    load "$isolation" $((requests / 2))
    quiet callgrind_control --instr=on "$server"
    # What is counted while code is translated for it is thrown away: a dump begins anew.
    load "$isolation" $((requests / 4))
    quiet callgrind_control --dump "$server"
    load "$isolation" "$requests"
    quiet callgrind_control --instr=off "$server"
    quiet callgrind_control --dump "$server"
    dumps=$((dumps + 2))
    own "$scratch/out.$server.$dumps" >"$scratch/own"
    cost=$(awk -v n="$requests" '{sum += $1} END {printf "%.0f", sum / n}' "$scratch/own")
    if [[ -t 1 ]]; then
        printf '%-8s %14d\n' "$isolation" "$cost"
    else
        printf '{"isolation":"%s","instructions":%d,"requests":%d}\n' "$isolation" "$cost" "$requests"
    fi
    if ((functions > 0)); then
        line='%8.0f  %s\n'
        [[ -t 1 ]] || line='{"isolation":"'$isolation'","instructions":%.0f,"function":"%s"}\n'
        sort -rn "$scratch/own" | awk -v n="$requests" -v most="$functions" -v line="$line" '
            NR <= most {count = $1; sub(/^[0-9]+ /, ""); gsub(/[\\"]/, "\\\\&"); printf line, count / n, substr($0, 1, 150)}'
    fi
    if [[ $isolation == reuse ]] && ((most > 0 && cost > most)); then
        echo "a request costs $cost instructions, over the $most that it may" >&2
        exit 1
    fi
done
