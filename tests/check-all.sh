#!/bin/sh
# The heavier checks, run by `make check-all`. Prints a table of what ran; a missing tool is a failure unless SKIP="name ..." names the
# check. ONLY="name ..." runs just these. Installs its tools with apt-get when it can.
cd "$(dirname "$0")/.." || exit 1
out=build/check-all
mkdir -p $out
: > $out/table
WARN="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wdouble-promotion -Wcast-align -Werror"
TESTS="test_context test_rng test_ops test_io test_net test_sample test_model test_train"
failed=0

has() { command -v "$1" >/dev/null 2>&1; }
want=""
has clang || want="$want clang"
has g++ || want="$want g++"
has aarch64-linux-gnu-gcc || want="$want gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
has qemu-aarch64 || want="$want qemu-user"
has valgrind || want="$want valgrind"
has x86_64-w64-mingw32-gcc || want="$want gcc-mingw-w64-x86-64"
[ -d /usr/lib/gcc/x86_64-linux-gnu/12/32 ] || want="$want gcc-12-multilib"
[ -z "$want" ] || { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $want; } >/dev/null 2>&1

# check NAME TOOL COMMAND...: runs the command, notes the result and the seconds.
check() {
    name=$1 tool=$2
    shift 2
    case " $SKIP " in *" $name "*) echo "$name skipped -" >> $out/table; return;; esac
    if [ -n "$ONLY" ]; then case " $ONLY " in *" $name "*) ;; *) return;; esac; fi
    start=$(date +%s)
    if ! has "$tool"; then echo "$name: $tool is missing (SKIP=\"$name\" to go without)"; result=MISSING; failed=$((failed + 1))
    elif "$@" > $out/$name.log 2>&1; then result=ok
    else result=FAILED; failed=$((failed + 1)); tail -n 15 $out/$name.log; fi
    echo "$name $result $(($(date +%s) - start))" >> $out/table
    echo "$name $result"
}

header() {      # COMPILER LANGUAGE STANDARD: the implementation without a warning
    printf '#define DRL_THREADS\n#define DRL_IMPLEMENTATION\n#include "drl.h"\nint main(void) { return 0; }\n' > $out/header-$1-$3.c
    $1 -x $2 -std=$3 $WARN -O1 -I. -c $out/header-$1-$3.c -o $out/header-$1-$3.o
}
option() {      # each option alone
    printf '#define %s\n#define DRL_IMPLEMENTATION\n#include "drl.h"\nint main(void) { return drl_ctx_create(NULL, NULL) != DRL_E_ARGUMENT; }\n' "$1" > $out/option-$1.c
    # with DRL_STATIC, functions that the program does not call are unused by intent
    gcc -std=c99 $WARN -Wno-unused-function -O1 -I. $out/option-$1.c -o $out/option-$1 -lm && $out/option-$1
}
two_units() {   # one declares, one implements; and two static copies
    printf '#include "drl.h"\nint main(void) { drl_ctx *c = 0; return drl_ctx_create(0, &c) != DRL_OK; }\n' > $out/a.c
    printf '#define DRL_IMPLEMENTATION\n#include "drl.h"\n#include "drl.h"\n' > $out/b.c
    gcc -I. $out/a.c $out/b.c -o $out/two -lm && $out/two || return 1
    printf '#define DRL_STATIC\n#define DRL_IMPLEMENTATION\n#include "drl.h"\nint main(void) { drl_ctx *c = 0; return drl_ctx_create(0, &c) != DRL_OK; }\n' > $out/a.c
    printf '#define DRL_STATIC\n#define DRL_IMPLEMENTATION\n#include "drl.h"\nint other(void);\nint other(void) { return drl_rng_below(0, 0); }\n' > $out/b.c
    gcc -w -I. $out/a.c $out/b.c -o $out/two -lm && $out/two
}
examples() {    # plain cc, no flags
    for f in examples/*.c; do gcc -std=c99 -Wall -Wextra -Werror -Wno-unknown-pragmas -fsyntax-only "$f" || return 1; cc "$f" -o $out/example -lm || return 1; done
}
tests() {       # NAME COMPILER FLAGS...: every test program, built so and run
    dir=$out/$1 compiler=$2
    shift 2
    mkdir -p "$dir"
    for t in $TESTS; do
        $compiler "$@" tests/$t.c -o "$dir/$t" -lm || return 1
        "$dir/$t" || return 1
    done
}
parity() {
    for f in ../shared/reference/drl-*.safetensors ../shared/reference/cdrl-*.safetensors; do [ -f "$f" ] || { echo "no $f"; return 1; }; done
    gcc -O2 tests/parity.c -o $out/parity -lm && $out/parity ../shared/reference/drl-*.safetensors ../shared/reference/cdrl-*.safetensors
}
conformance() { # COMPILER RUN FLAGS...: the hash of portable C on this machine, again
    [ -x $out/conformance ] || gcc -O2 tests/conformance.c -o $out/conformance -lm || return 1
    want=$($out/conformance --isa portable)
    compiler=$1 run=$2
    shift 2
    $compiler "$@" tests/conformance.c -o $out/conformance-other -lm || return 1
    for isa in portable avx2 avx512 neon; do for threads in 1 2 3 7; do
        got=$($run $out/conformance-other --isa $isa --threads $threads) || { echo "$isa: $got"; continue; }
        echo "$isa $threads $got"
        [ "$got" = "$want" ] || { echo "not $want"; return 1; }
    done; done
}
neon() {        # under emulation; the portable set runs beside NEON and must give the same bits
    for t in test_rng test_ops; do
        aarch64-linux-gnu-gcc -O2 -static tests/$t.c -o $out/$t-arm -lm || return 1
        qemu-aarch64 $out/$t-arm || return 1
    done
}
windows() {     # compiles and links, pool included
    printf '#define DRL_THREADS\n#define DRL_IMPLEMENTATION\n#include "drl.h"\nint main(void) { return 0; }\n' > $out/windows.c
    x86_64-w64-mingw32-gcc -std=c99 -Wall -Wextra -O1 -I. $out/windows.c -o $out/windows.exe -lm
}

faults() {      # NAME COMPILER FLAGS...: what breaks things, and the corpus of hostile files, built so and run
    dir=$out/$1 compiler=$2
    shift 2
    mkdir -p "$dir"
    for t in test_api test_failure; do
        $compiler "$@" tests/$t.c -o "$dir/$t" -lm || return 1
        "$dir/$t" || return 1
    done
    $compiler "$@" tests/fuzz.c -o "$dir/fuzz" -lm || return 1
    "$dir/fuzz" --seeds "$dir/corpus" || return 1
    kept=
    for f in tests/corpus/*/*; do [ -f "$f" ] && kept="$kept $f"; done
    "$dir/fuzz" "$dir"/corpus/*/* $kept
}
memory() {      # NAME TEST RUN COMPILER FLAGS...: one test under a checker of uninitialised memory
    dir=$out/$1 t=$2 run=$3 compiler=$4
    shift 4
    mkdir -p "$dir"
    $compiler "$@" tests/$t.c -o "$dir/$t" -lm && $run "$dir/$t"
}
soak() { gcc -O2 tests/soak.c -o $out/soak -lm && $out/soak 20000 2000; }

for c in gcc clang; do for s in c99 c11 c17; do check warnings-$c-$s $c header $c c $s; done; done
for c in g++ clang++; do for s in c++11 c++20; do check warnings-$c-$s $c header $c c++ $s; done; done
for o in DRL_STATIC DRL_NO_SIMD DRL_NO_STDIO DRL_NO_MALLOC DRL_THREADS; do check option-$o gcc option $o; done
check two-units gcc two_units
check examples-plain cc examples
check parity gcc parity
check conformance gcc conformance gcc "" -O2
check conformance-clang clang conformance clang "" -O1
check conformance-O0 gcc conformance gcc "" -O0
check conformance-32 gcc conformance gcc "" -m32 -msse2 -O2 -I/usr/include/x86_64-linux-gnu
check conformance-aarch64 qemu-aarch64 conformance aarch64-linux-gnu-gcc qemu-aarch64 -O2 -static
check tests-O0 gcc tests tests-O0 gcc -O0 -DDRL_THREADS
check tests-O3-native gcc tests tests-O3-native gcc -O3 -march=native -DDRL_THREADS
check tests-clang clang tests tests-clang clang -O2 -DDRL_THREADS
check tests-c++ g++ tests tests-c++ g++ -x c++ -O1 -DDRL_THREADS
check tests-sanitized gcc tests tests-sanitized gcc -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -DDRL_THREADS
check tests-thread-sanitizer gcc tests tests-tsan gcc -O1 -g -fsanitize=thread -DDRL_THREADS
check neon qemu-aarch64 neon
check windows x86_64-w64-mingw32-gcc windows
check faults-sanitized gcc faults faults-sanitized gcc -O1 -g -DDRL_NO_SIMD -fsanitize=address,undefined -fno-sanitize-recover=all
check faults-32 gcc faults faults-32 gcc -m32 -O1 -DDRL_NO_SIMD -I/usr/include/x86_64-linux-gnu
check faults-ndebug gcc faults faults-ndebug gcc -O2 -DNDEBUG
check faults-c++ g++ faults faults-c++ g++ -x c++ -O1 -DDRL_NO_SIMD
check kill gcc sh tests/kill.sh 200
check soak gcc soak
check fuzz clang sh tests/fuzz.sh 20
check valgrind-context valgrind memory valgrind test_context "valgrind -q --error-exitcode=9 --leak-check=full" gcc -O1 -g -DDRL_NO_SIMD
check valgrind-failure valgrind memory valgrind test_failure "valgrind -q --error-exitcode=9 --leak-check=full" gcc -O1 -g -DDRL_NO_SIMD
check msan-ops clang memory msan test_ops "" clang -O1 -g -fsanitize=memory -fno-sanitize-recover=all
check msan-train clang memory msan test_train "" clang -O1 -g -fsanitize=memory -fno-sanitize-recover=all

echo
awk '{ printf "%-28s %-8s %s s\n", $1, $2, $3 }' $out/table
awk '$2 == "ok" { p++ } $2 == "skipped" { s++ } $2 != "ok" && $2 != "skipped" { f++ } END { print p + 0 " passed, " f + 0 " failed, " s + 0 " skipped" }' $out/table
[ $failed -eq 0 ]
