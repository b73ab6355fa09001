#!/usr/bin/env bash
# Runs both official SDKs, unchanged, against a real server: installs them from their registries into target/sdk, starts a server on a
# free loopback port with a data directory of its own, runs one process per language and noun, and says what came of it.
#
#   tests/sdk/run.sh                      every noun in both languages
#   tests/sdk/run.sh python               one language
#   tests/sdk/run.sh node aliases tags    some nouns (`--list` names them)
#   tests/sdk/run.sh -k weight aliases    only tests whose name contains that
#   tests/sdk/run.sh --ready              the nouns that the server is known to serve; what CI runs
#   tests/sdk/run.sh --without-keys       against a server that checks no signatures
#
# The server is target/debug/hearth, or what SDK_TESTS_SERVER names. Ends with an error if any test failed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
readonly here root
readonly binary=${SDK_TESTS_SERVER:-$root/target/debug/hearth} sdk=$root/target/sdk

# In the order in which a reader would meet them. `methods` looks at what the others called, and comes last.
readonly all_nouns=(services functions invoke lifecycle versions aliases triggers sources domains tags lists etags async_configs tasks
    on_demand provision instances account layers objects proxy errors signatures hostile methods)
# Nouns that the server serves as documented. One that is added here stays.
readonly ready_nouns=(services functions invoke lifecycle versions aliases triggers sources domains tags lists etags async_configs tasks
    on_demand provision instances account layers objects proxy errors signatures hostile)

languages=() nouns=() filter='' keys=auto
while (($#)); do
    case $1 in
        python | node) languages+=("$1") ;;
        -k) filter=${2:?-k needs a part of a name}; shift ;;
        --ready) nouns=("${ready_nouns[@]}") ;;
        --without-keys) keys=no ;;
        --list) printf '%s\n' "${all_nouns[@]}"; exit ;;
        -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit ;;
        *)
            [[ " ${all_nouns[*]} " == *" $1 "* ]] || { echo "there is no noun $1; see $0 --list" >&2; exit 2; }
            nouns+=("$1")
            ;;
    esac
    shift
done
((${#languages[@]})) || languages=(python node)
((${#nouns[@]})) || nouns=("${all_nouns[@]}")
[[ -x $binary ]] || { echo "no server at $binary: build it, or name one in SDK_TESTS_SERVER" >&2; exit 2; }

mkdir -p "$sdk"
scratch=$(mktemp -d)
server='' store=''
conclude() {
    local status=$?
    if [[ -n $store ]]; then
        kill "$store" 2>/dev/null || true
        wait "$store" 2>/dev/null || true
    fi
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$scratch"
    exit "$status"
}
trap conclude EXIT

# installed FOLDER FILE...: whether what is in the folder was made from these files.
installed() { [[ -f $1/.made-of ]] && cat "${@:2}" | cmp -s - "$1/.made-of"; }

install_python() {
    local to=$sdk/python pins=("$here/python/requirements-build.txt" "$here/python/requirements.txt")
    installed "$to" "${pins[@]}" && return
    rm -rf "$to"
    python3 -m venv "$to"
    local pip=("$to/bin/python" -m pip --disable-pip-version-check --quiet install --require-hashes)
    # The SDK comes as source. What builds it is pinned too, so nothing unnamed is fetched for that.
    "${pip[@]}" --requirement "${pins[0]}"
    "${pip[@]}" --no-build-isolation --requirement "${pins[1]}"
    cat "${pins[@]}" >"$to/.made-of"
}

# A store that speaks S3, in an environment of its own: what it needs shall not meet what the SDK needs.
install_store() {
    local to=$sdk/store pins=$here/python/requirements-store.txt
    installed "$to" "$pins" && return
    rm -rf "$to"
    python3 -m venv "$to"
    "$to/bin/python" -m pip --disable-pip-version-check --quiet install --only-binary :all: --require-hashes --requirement "$pins"
    cp "$pins" "$to/.made-of"
}

install_node() {
    local to=$sdk/node pins=("$here/node/package.json" "$here/node/package-lock.json")
    installed "$to" "${pins[@]}" && return
    rm -rf "$to"
    mkdir -p "$to"
    cp "${pins[@]}" "$to"
    # No script of a package is run: the SDK needs none.
    (cd "$to" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
    cat "${pins[@]}" >"$to/.made-of"
}

for language in "${languages[@]}"; do "install_$language"; done

export SDK_TESTS_SIGNED=0 SDK_TESTS_KEY_ID=no-key SDK_TESTS_KEY_SECRET=no-secret SDK_TESTS_ACCOUNT=123456789
if [[ $keys == auto ]] && "$binary" key create --help >/dev/null 2>&1; then
    "$binary" key create --data-dir "$scratch/data" --format json >"$scratch/key.json"
    told() { sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p" "$scratch/key.json"; }
    SDK_TESTS_SIGNED=1 SDK_TESTS_KEY_ID=$(told accessKeyId) SDK_TESTS_KEY_SECRET=$(told accessKeySecret) SDK_TESTS_ACCOUNT=$(told accountId)
fi

# For the domains of the stories; whoever has no openssl is told so here.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=stories \
    -addext 'subjectAltName=DNS:*.example.com' -addext 'basicConstraints=critical,CA:FALSE' \
    -keyout "$scratch/domain.key" -out "$scratch/domain.pem" 2>"$sdk/openssl.log" ||
    { echo "openssl made no certificate; see $sdk/openssl.log" >&2; exit 1; }
export SDK_TESTS_CERTIFICATE=$scratch/domain.pem SDK_TESTS_CERTIFICATE_KEY=$scratch/domain.key

settings=()
if [[ " ${languages[*]} " == *' python '* && " ${nouns[*]} " == *' objects '* ]]; then
    install_store
    mkdir -m 700 "$scratch/store"
    "$sdk/store/bin/python" "$here/store.py" "$scratch/store" "${GUEST_EXAMPLES_DIR:-$root/guest-examples}" >"$sdk/store.log" 2>&1 &
    store=$!
    for ((tries = 0; ; tries++)); do
        [[ ! -e $scratch/store/settings.toml ]] || break
        kill -0 "$store" 2>/dev/null || { echo "the store ended:" >&2; cat "$sdk/store.log" >&2; exit 1; }
        ((tries < 600)) || { echo "the store does not come up; see $sdk/store.log" >&2; exit 1; }
        sleep 0.1
    done
    settings=(--config "$scratch/store/settings.toml")
fi

"$binary" serve --listen 127.0.0.1:0 --data-dir "$scratch/data" --port-file "$scratch/ports.json" \
    ${settings[@]+"${settings[@]}"} \
    >"$sdk/server.log" 2>&1 &
server=$!
for ((tries = 0; ; tries++)); do
    [[ ! -s $scratch/ports.json ]] || break
    kill -0 "$server" 2>/dev/null || { echo "the server ended:" >&2; cat "$sdk/server.log" >&2; exit 1; }
    ((tries < 300)) || { echo "the server does not come up; see $sdk/server.log" >&2; exit 1; }
    sleep 0.1
done
SDK_TESTS_URL=$(sed -n 's/.*"url" *: *"\([^"]*\)".*/\1/p' "$scratch/ports.json")
export SDK_TESTS_URL SDK_TESTS_GUESTS=${GUEST_EXAMPLES_DIR:-$root/guest-examples} SDK_TESTS_FILTER=$filter
signed=without
((!SDK_TESTS_SIGNED)) || signed=with
echo "server $SDK_TESTS_URL, $signed signatures; its log is $sdk/server.log"

# Both runners print a line a test: `ok NAME`, `skip NAME: why` or `FAIL NAME: reason`; what is more goes to their standard error.
run_python() { PYTHONDONTWRITEBYTECODE=1 "$sdk/python/bin/python" "$here/python/run.py" "$1"; }
run_node() { NODE_PATH=$sdk/node/node_modules node --test --test-reporter="$here/node/reporter.js" "$here/node/$1.js"; }

summary=() failed=0
for language in "${languages[@]}"; do
    export SDK_TESTS_CALLED=$scratch/called.$language
    : >"$SDK_TESTS_CALLED"
    for noun in "${nouns[@]}"; do
        [[ -e $here/python/$noun.py || $language != python ]] || continue
        [[ -e $here/node/$noun.js || $language != node ]] || continue
        if [[ $noun == methods ]] && { ((${#nouns[@]} < ${#all_nouns[@]})) || [[ -n $filter ]]; }; then
            summary+=("$(printf '%-6s %-14s not looked at: some nouns were left out' "$language" "$noun")")
            continue
        fi
        printf '\n== %s %s\n' "$language" "$noun"
        status=0
        "run_$language" "$noun" >"$scratch/lines" 2>"$sdk/$language-$noun.log" || status=$?
        cat "$scratch/lines"
        count() { grep -c "^   $1 " "$scratch/lines" || true; }
        line=$(printf '%-6s %-14s %3d ok' "$language" "$noun" "$(count 'ok  ')")
        (($(count skip) == 0)) || line+=", $(count skip) skipped"
        if ((status)); then
            failed=1
            line+=", $(count FAIL) FAILED; details in target/sdk/$language-$noun.log"
            kill -0 "$server" 2>/dev/null || line+=' (the server is gone)'
        fi
        summary+=("$line")
    done
done
# Sealed where they are kept, and in no log.
if ((SDK_TESTS_SIGNED)) && grep -rqF -- "$SDK_TESTS_KEY_SECRET" "$sdk/server.log" "$scratch/data"; then
    failed=1
    summary+=('the secret of the access key is FOUND in the log or the data directory')
fi
if [[ -n $store ]] && grep -rqF -f <(cat "$scratch"/store/*.secret) "$sdk/server.log" "$scratch/data"; then
    failed=1
    summary+=('the secret of the object store is FOUND in the log or the data directory')
fi
printf '\n== summary\n'
printf '   %s\n' "${summary[@]}"
exit "$failed"
