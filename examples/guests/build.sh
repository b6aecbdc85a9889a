#!/usr/bin/env bash
# Compiles and instruments the guests of src/ into this folder.
#
#   build.sh           writes the .wasm files
#   build.sh --check   builds elsewhere and fails unless that gives the committed files, byte for byte
#
# Needs bash, python3 with venv, and npm. The compilers, pinned, go to $GUEST_TOOLS (default: target/guest-tools in the
# project).
set -euo pipefail
shopt -s nullglob

zig_version=0.17.1

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
check=false
case "${1-}" in
'') ;;
--check) check=true ;;
*)
    echo "usage: $0 [--check]" >&2
    exit 2
    ;;
esac

# A relative path is the project's, wherever this is called from.
cd "$root"
mkdir -p "${GUEST_TOOLS:-target/guest-tools}"
tools=$(cd "${GUEST_TOOLS:-target/guest-tools}" && pwd)
export ZIG_GLOBAL_CACHE_DIR=$tools/zig-cache ZIG_LOCAL_CACHE_DIR=$tools/zig-cache

zig=("$tools/venv/bin/python" -m ziglang)
if [ "$("${zig[@]}" version 2>/dev/null)" != "$zig_version" ]; then
    echo "installing ziglang $zig_version" >&2
    python3 -m venv --clear "$tools/venv"
    "$tools/venv/bin/python" -m pip install --quiet --disable-pip-version-check "ziglang==$zig_version"
fi

# The copy of the lock file is written last: it stands for an installation that was completed.
wasm_opt=$tools/node_modules/.bin/wasm-opt
if ! cmp -s "$here/package-lock.json" "$tools/installed-lock.json"; then
    echo "installing the npm packages of package-lock.json" >&2
    cp "$here/package.json" "$here/package-lock.json" "$tools/"
    npm ci --prefix "$tools" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
    cp "$here/package-lock.json" "$tools/installed-lock.json"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$here
if $check; then
    out=$work/out
    mkdir "$out"
fi

# compile NAME [ARGUMENT…]: src/NAME.c, freestanding, to $work/NAME.wasm. The names are kept for `wasm-opt`, which drops
# them unless it is given -g.
compile() {
    local name=$1
    shift
    "${zig[@]}" cc -target wasm32-freestanding -nostdlib -ffreestanding -fno-builtin \
        -std=c11 -Wall -Wextra -Werror -O2 -g0 -Wl,--no-entry "$@" "src/$name.c" -o "$work/$name.wasm"
}

# optimize INPUT OUTPUT [ARGUMENT…]: the two sections left out name compilers and features, of use to linkers only.
optimize() {
    local input=$1 output=$2
    shift 2
    "$wasm_opt" "$input" "$@" -O2 --strip-producers --strip-target-features -o "$out/$output.wasm"
}

# instrument INPUT OUTPUT IMPORTS [ARGUMENT…]: only the IMPORTS, as in `env.fetch,env.sleep_ms`, may suspend.
instrument() {
    local input=$1 output=$2 imports=$3
    shift 3
    optimize "$input" "$output" "$@" --asyncify "--pass-arg=asyncify-imports@$imports"
}

# The sources' names are given relative to here: no path of this machine gets near the compilers.
cd "$here"

compile quickstart -Wl,-z,stack-size=65536
instrument "$work/quickstart.wasm" quickstart env.fetch,env.sleep_ms
optimize "$work/quickstart.wasm" plain

# With its name section, which says where the stack pointer is; the other guests leave that to be found out.
compile stack -Wl,-z,stack-size=65536
instrument "$work/stack.wasm" stack env.wait -g

# The same source, linked as most C programs are: with a libc, whose allocator it exports, and a default stack.
"${zig[@]}" cc -target wasm32-wasi -mexec-model=reactor -std=c11 -Wall -Wextra -Werror -O2 -s \
    -Wl,--export=malloc,--export=free src/stack.c -o "$work/stack-libc.wasm"
instrument "$work/stack-libc.wasm" stack-libc env.wait

# Stacks are small, as each visitor who waits gets one.
compile chat -Wl,-z,stack-size=4096
instrument "$work/chat.wasm" chat env.receive,env.send

compile marshal -Wl,-z,stack-size=65536
instrument "$work/marshal.wasm" marshal 'env.*'

instrument src/values.wat values 'env.*' --enable-multivalue --enable-simd --enable-reference-types
instrument src/trampoline.wat trampoline env.wait,env.again,env.invoke_ii,env.try_ii
instrument src/memory64.wat memory64 env.wait --enable-memory64

instrument src/yielding.wat yielding env.yield_now,env.pause
optimize src/yielding.wat yielding-plain

instrument src/bench.wat bench env.ready,env.bytes,env.pause
optimize src/bench.wat bench-whole --asyncify
optimize src/bench.wat bench-plain

if $check; then
    status=0
    while read -r name; do
        cmp -s "$here/$name" "$out/$name" && continue
        status=1
        if [ ! -e "$here/$name" ]; then
            echo "$name: built, but not committed" >&2
        elif [ ! -e "$out/$name" ]; then
            echo "$name: committed, but not built from any source" >&2
        else
            echo "$name: the committed file is not what its source gives" >&2
        fi
    done < <(basename -a "$here"/*.wasm "$out"/*.wasm | sort -u)
    [ $status = 0 ] || echo "run examples/guests/build.sh and commit what it writes" >&2
    exit $status
fi
