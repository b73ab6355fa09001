#!/usr/bin/env bash
# Builds the guests from source. This is the one way they are built: by hand, by CI and for the committed .wasm files.
#
#   ./build.sh                 rebuild every committed guest in place
#   ./build.sh wat-echo trap   only these (a folder's name, or a bad guest's)
#   ./build.sh --out DIR       write the .wasm files to DIR, laid out like this folder; tests read them from there when
#                              GUEST_EXAMPLES_DIR names it
#   ./build.sh --check         build into target/check and compare with what is committed: text guests must be equal byte for
#                              byte, the others may differ by toolchain and only their sizes are compared, for the reader
#   ./build.sh --all           JavaScript and Python too (12 and 18 MB, never committed)
#
# Rust guests use rustup's wasm32-wasip1 target when it is installed; otherwise Debian's rustc-web with its own copy of the
# standard library. What is missing is installed: Debian packages by apt-get (as root), npm and PyPI packages into target/.
set -euo pipefail
readonly called_from=$PWD
cd "$(dirname "$0")"
readonly here=$PWD
# Paths below count on it, whatever the caller's environment says.
export CARGO_TARGET_DIR=$here/target
readonly assemblyscript=0.27.37 componentize_js=0.23.0 componentize_py=0.25.1
out=$here check=no all=no
wanted=()
while (($#)); do
    case $1 in
        --check) check=yes out=$here/target/check ;;
        --all) all=yes ;;
        --out) out=$(cd "$called_from" && realpath -m "${2:?--out needs a folder}"); shift ;;
        -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$here/build.sh"; exit ;;
        -*) echo "unknown option $1; see $0 --help" >&2; exit 2 ;;
        *) wanted+=("$1") ;;
    esac
    shift
done

say() { printf '%s\n' "$*" >&2; }
fail() { say "build.sh: $*"; exit 1; }

# is_wanted NAME: everything is, unless the command line names some.
is_wanted() {
    ((${#wanted[@]} == 0)) && return
    local name
    for name in "${wanted[@]}"; do [[ $name == "$1" ]] && return; done
    return 1
}

# is_wanted_large NAME: those that are never committed only if they are named, or all are asked for.
is_wanted_large() { [[ $all == yes ]] || { ((${#wanted[@]})) && is_wanted "$1"; }; }

# done_with RELATIVE.wasm: says how large it came out.
done_with() { printf '  %-46s %9s bytes\n' "$1" "$(stat -c %s "$out/$1")" >&2; }

# debian PACKAGE...: installs those that are missing.
debian() {
    local package missing=()
    for package; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null || fail "needs ${missing[*]} (names of Debian packages); install them and run again"
    say "installing ${missing[*]}"
    local as_root=()
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
}

# ---- the build tool -------------------------------------------------------------------------------------------------------------

componentize=$here/target/debug/componentize
build_tool() {
    say "the build tool"
    cargo build --quiet --locked -p componentize
}

# ---- text -----------------------------------------------------------------------------------------------------------------------

build_text() {
    local source name
    say "text guests"
    for source in wat-*/*.wat bad/*.wat; do
        name=$(basename "$source" .wat)
        is_wanted "$name" || continue
        mkdir -p "$out/$(dirname "$source")"
        "$componentize" wat "$source" "$out/${source%.wat}.wasm"
        done_with "${source%.wat}.wasm"
    done
    is_wanted sleeper-component || return 0
    "$componentize" wat bad/sleeper.wat target/sleeper.wasm
    "$componentize" component --command target/sleeper.wasm "$out/bad/sleeper-component.wasm"
    done_with bad/sleeper-component.wasm
}

# ---- Rust -----------------------------------------------------------------------------------------------------------------------

readonly target=wasm32-wasip1
rust_ready=no
rust_flags=() # cargo's own
rust_kind() { :; } # rustc's flags for one kind of guest

prepare_rust() {
    [[ $rust_ready == yes ]] && return
    rust_ready=yes
    cargo fetch --quiet --locked
    # Panic messages hold paths of sources. They must say nothing about the machine, and be the same on each.
    local flags=("--remap-path-prefix=$(cd .. && pwd)=/hearth") sources
    for sources in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do flags+=("--remap-path-prefix=$sources=/deps"); done
    if [[ -d $(rustc --print sysroot)/lib/rustlib/$target/lib ]]; then
        say "Rust guests, with rustup's $target"
    else
        say "Rust guests, with Debian's rustc-web"
        debian rustc-web rust-web-src wasi-libc lld clang
        export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
        flags+=(-C linker=wasm-ld -C link-self-contained=no -L native=/usr/lib/wasm32-wasi -C link-arg=-lc)
        rust_flags+=(-Z build-std=std,panic_abort)
        # Only for the last crate, so that the standard library is compiled once for both kinds.
        rust_kind() { echo "-C link-arg=/usr/lib/wasm32-wasi/crt1-$1.o"; }
    fi
    export RUSTFLAGS="${flags[*]}"
}

# rust NAME RELATIVE.wasm KIND ADAPTER: one crate to one file. KIND is command or reactor; ADAPTER none leaves a core module.
rust() {
    is_wanted "$(basename "$2" .wasm)" || return 0
    prepare_rust
    local which=(--lib) file=${1//-/_}
    [[ $3 == command ]] && which=(--bin "$1") file=$1
    # shellcheck disable=SC2046 # words are meant to split
    cargo rustc --quiet --locked --release --target "$target" "${rust_flags[@]}" -p "$1" "${which[@]}" -- $(rust_kind "$3")
    mkdir -p "$out/$(dirname "$2")"
    if [[ $4 == none ]]; then
        cp "target/$target/release/$file.wasm" "$out/$2"
    else
        "$componentize" component "--$4" "target/$target/release/$file.wasm" "$out/$2"
    fi
    done_with "$2"
}

build_rust() {
    rust rust-event rust-event/rust-event.wasm reactor reactor
    rust rust-apig rust-apig/rust-apig.wasm reactor reactor
    rust rust-fetch rust-fetch/rust-fetch.wasm reactor reactor
    rust rust-table rust-table/rust-table.wasm reactor reactor
    rust rust-caller rust-caller/rust-caller.wasm reactor reactor
    rust rust-command rust-command/rust-command.wasm command none
    rust rust-command rust-command-component/rust-command-component.wasm command command
    rust rust-grpc rust-grpc/rust-grpc.wasm reactor proxy
    rust rust-http rust-http/rust-http.wasm reactor proxy
    rust rust-http-p3 rust-http-p3/rust-http-p3.wasm reactor reactor
    rust rust-http-stream rust-http-stream/rust-http-stream.wasm reactor proxy
    rust rust-http-stream-p3 rust-http-stream-p3/rust-http-stream-p3.wasm reactor reactor
    rust rust-spin rust-spin/rust-spin.wasm reactor reactor
    rust rust-spin-p3 rust-spin-p3/rust-spin-p3.wasm reactor reactor
    rust rust-tmp rust-tmp/rust-tmp.wasm reactor reactor
    rust rust-tmp rust-tmp-command/rust-tmp-command.wasm command none
    rust rust-tmp-p3 rust-tmp-p3/rust-tmp-p3.wasm reactor reactor
    rust rust-websocket-echo rust-websocket-echo/rust-websocket-echo.wasm reactor reactor
    rust rust-websocket-chat rust-websocket-chat/rust-websocket-chat.wasm reactor proxy
    rust rust-websocket-p3 rust-websocket-p3/rust-websocket-p3.wasm reactor reactor
    rust bad-websocket bad/bad-websocket.wasm reactor reactor
    rust rust-panic bad/rust-panic.wasm reactor reactor
    rust secret-panic bad/secret-panic.wasm reactor reactor
    rust keeps-handle bad/keeps-handle.wasm reactor reactor
    rust returned-error bad/returned-error.wasm reactor reactor
    rust random-huge-component bad/random-huge-component.wasm command command
    rust http-rude bad/http-rude.wasm reactor proxy
    rust http-rude-p3 bad/http-rude-p3.wasm reactor reactor
}

# ---- C --------------------------------------------------------------------------------------------------------------------------

build_c() {
    is_wanted c-echo || return 0
    say "C guests"
    debian clang lld
    mkdir -p "$out/c-echo"
    clang --target=wasm32 -std=c11 -Wall -Wextra -Werror -O2 -nostdlib -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=4096 \
        -o "$out/c-echo/c-echo.wasm" c-echo/echo.c
    done_with c-echo/c-echo.wasm
}

# ---- JavaScript's neighbourhood -------------------------------------------------------------------------------------------------

# npm_packages FOLDER PACKAGE@VERSION...: installs into target/FOLDER, which is made anew when the versions change.
npm_packages() {
    command -v npm >/dev/null || debian npm
    local folder=target/$1
    shift
    [[ -f $folder/versions && $(<"$folder/versions") == "$*" ]] && return
    rm -rf "$folder"
    mkdir -p "$folder"
    npm install --silent --no-audit --no-fund --prefix "$folder" "$@" >/dev/null
    echo "$*" >"$folder/versions"
}

build_assemblyscript() {
    is_wanted assemblyscript-upper || return 0
    say "AssemblyScript guests"
    npm_packages assemblyscript "assemblyscript@$assemblyscript"
    mkdir -p "$out/assemblyscript-upper"
    node target/assemblyscript/node_modules/assemblyscript/bin/asc.js assemblyscript-upper/upper.ts --optimizeLevel 3 \
        --shrinkLevel 2 --runtime minimal --outFile "$out/assemblyscript-upper/assemblyscript-upper.wasm"
    done_with assemblyscript-upper/assemblyscript-upper.wasm
}

# event_function_wit: the world of host-api/guest with what it refers to, as one folder, which the other toolchains want. They import
# all of a world, used or not, so the interface that needs a grant is taken out.
event_function_wit() {
    rm -rf target/wit
    mkdir -p target/wit/deps/function target/wit/deps/logging
    sed '/import hearth:function\/caller/d' ../host-api/guest/wit/worlds.wit >target/wit/worlds.wit
    cp ../host-api/wit/function.wit target/wit/deps/function/
    cp ../host-api/wit/deps/logging.wit target/wit/deps/logging/
    # What the Rust crate adds hook by hook.
    cat >>target/wit/worlds.wit <<'world'

world event-function-with-initializer {
    include event-function;
    include initialize-hook;
}
world
}

# Each NAME:WORLD is a guest whose source is NAME/*.js.
build_javascript() {
    local guest name world
    for guest in js-hello:event-function js-table:event-function-with-initializer; do
        name=${guest%:*} world=${guest#*:}
        is_wanted_large "$name" || continue
        say "JavaScript: $name"
        npm_packages componentize-js "@bytecodealliance/componentize-js@$componentize_js"
        event_function_wit
        mkdir -p "$out/$name"
        cp build-javascript.mjs target/componentize-js/build.mjs
        node target/componentize-js/build.mjs "$name/${name#js-}.js" target/wit "$world" "$out/$name/$name.wasm"
        done_with "$name/$name.wasm"
    done
}

# The same for NAME/*.py.
build_python() {
    local guest name world
    for guest in python-hello:event-function python-table:event-function-with-initializer; do
        name=${guest%:*} world=${guest#*:}
        is_wanted_large "$name" || continue
        say "Python: $name"
        if [[ ! -x target/componentize-py/bin/componentize-py ]]; then
            python3 -c 'import ensurepip' 2>/dev/null || debian python3-venv
            python3 -m venv target/componentize-py
            target/componentize-py/bin/pip install --quiet "componentize-py==$componentize_py"
        fi
        event_function_wit
        mkdir -p "$out/$name"
        (cd "$name" && ../target/componentize-py/bin/componentize-py --quiet -d ../target/wit -w "hearth:guest/$world" \
            componentize "${name#python-}" -o "$out/$name/$name.wasm")
        done_with "$name/$name.wasm"
    done
}

# ---- comparison -----------------------------------------------------------------------------------------------------------------

# compare: every committed guest against its rebuilt one. Text must be equal; toolchains are allowed to differ.
compare() {
    local file stale=0 name before after
    say "compared with what is committed"
    while read -r file; do
        name=$(basename "$file" .wasm)
        is_wanted "$name" || continue
        [[ -f $out/$file ]] || { say "  $file: nothing builds it"; stale=1; continue; }
        cmp -s "$file" "$out/$file" && continue
        before=$(stat -c %s "$file") after=$(stat -c %s "$out/$file")
        if [[ -f ${file%.wasm}.wat ]]; then
            say "  $file: STALE, $before bytes committed, $after rebuilt"
            stale=1
        else
            say "  $file: differs, $before bytes committed, $after rebuilt"
        fi
    done < <(git ls-files '*.wasm')
    ((stale == 0)) || fail "stale fixtures; run ./build.sh and commit"
    say "  no text guest is stale"
}

build_tool
build_text
build_rust
build_c
build_assemblyscript
build_javascript
build_python
if [[ $check == yes ]]; then compare; fi
