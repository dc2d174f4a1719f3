#!/bin/sh
# The heavier checks, run by `make check-all`. Prints a table of what ran; a missing tool is a failure unless SKIP="name ..." names the
# check. ONLY="name ..." runs just these; LIST=1 prints the names; LANES=N runs so many at a time (one a processor). Installs its tools with
# apt-get when it can.
cd "$(dirname "$0")/.." || exit 1
all=build/check-all
out=$all/lane${LANE:-0}         # each lane in a folder of its own; it takes the next check that no other has claimed
mkdir -p $out
export CHECK_DIR=$out
[ -n "$LANE$LIST" ] || { rm -rf $all/claimed; mkdir -p $all/claimed; : > $all/table; }
WARN="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wdouble-promotion -Wcast-align -Werror"
TESTS=$(cd tests && ls test_*.c | sed 's/\.c$//')
X32=-I/usr/include/x86_64-linux-gnu         # where the headers of -m32 lie when gcc-12-multilib came without gcc-multilib

has() { command -v "$1" >/dev/null 2>&1; }
want=""
need() { has "$1" || { shift; want="$want $*"; }; }
need clang clang
need ld.lld lld
need g++ g++
need clang-tidy clang-tidy
need cppcheck cppcheck
need objdump binutils
need tcc tcc
need valgrind valgrind
need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
need s390x-linux-gnu-gcc gcc-s390x-linux-gnu libc6-dev-s390x-cross
need powerpc-linux-gnu-gcc gcc-powerpc-linux-gnu libc6-dev-powerpc-cross
need qemu-aarch64 qemu-user
need x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64
need wine wine wine64
need emcc emscripten
need arm-linux-gnueabihf-gcc gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
need node nodejs
need arm-none-eabi-gcc gcc-arm-none-eabi libnewlib-arm-none-eabi
need qemu-system-arm qemu-system-arm
[ -d /usr/lib/gcc/x86_64-linux-gnu/12/32 ] || want="$want gcc-12-multilib"      # gcc-multilib would remove the cross compilers
ls /usr/lib/llvm-14/lib/clang/*/lib/linux/libclang_rt.fuzzer-* > /dev/null 2>&1 || want="$want libclang-rt-14-dev"
if [ -n "$want" ] && [ -z "$LIST$LANE" ]; then
    echo "installing$want"
    { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $want; } > $out/install.log 2>&1 || echo "the installation failed: $out/install.log"
fi

# check NAME "TOOL ..." COMMAND...: runs the command, notes the result, the seconds and the last line of what it printed.
check() {
    name=$1 tools=$2
    shift 2
    if [ -n "$LIST" ]; then echo "$name"; return; fi
    if [ -n "$ONLY" ]; then case " $ONLY " in *" $name "*) ;; *) return;; esac; fi
    mkdir $all/claimed/$name 2>/dev/null || return
    case " $SKIP " in *" $name "*) echo "$name skipped -" >> $all/table; return;; esac
    start=$(date +%s)
    for tool in $tools; do
        has "$tool" && continue
        echo "$name: $tool is missing (SKIP=\"$name\" to go without)"
        echo "$name MISSING 0 $tool" >> $all/table
        return
    done
    if ( "$@" ) > $all/$name.log 2>&1; then result=ok
    else result=FAILED; tail -n 15 $all/$name.log; fi
    echo "$name $result $(($(date +%s) - start)) $(tail -n 1 $all/$name.log | cut -c 1-90)" >> $all/table
    echo "$name $result"
}

header() {      # COMPILER LANGUAGE STANDARD: the implementation without a warning, optimised and not
    printf '#define DRL_THREADS\n#define DRL_IMPLEMENTATION\n#include "drl.h"\nint main(void) { return 0; }\n' > $out/header-$1-$3.c
    for o in -O0 -O2; do $1 -x $2 -std=$3 $WARN $o -I. -c $out/header-$1-$3.c -o $out/header-$1-$3.o || return 1; done
    echo "$1 -std=$3 -O0 -O2 $WARN"
}
option() {      # each option alone, without a warning
    case $1 in
    DRL_API) define='#define DRL_API __attribute__((visibility("hidden"))) extern';;
    DRL_ASSERT) define='#define DRL_ASSERT(x) ((void)sizeof(x))';;
    DRL_HEADER_NAME) define='#define DRL_HEADER_NAME "other.h"';;
    *) define="#define $1";;
    esac
    file=drl.h
    [ $1 = DRL_HEADER_NAME ] && { cp drl.h $out/other.h; file=other.h; }
    printf '%s\n#define DRL_IMPLEMENTATION\n#include "%s"\nint main(void) { return drl_ctx_create(NULL, NULL) != DRL_E_ARGUMENT; }\n' "$define" $file > $out/option-$1.c
    for c in gcc clang; do
        $c -std=c99 $WARN -O1 -I$out -I. $out/option-$1.c -o $out/option-$1 -lm && $out/option-$1 || return 1
    done
    # and together with every other one that is a plain switch
    for o in DRL_STATIC DRL_NO_SIMD DRL_NO_STDIO DRL_NO_MALLOC DRL_THREADS; do
        [ $o = $1 ] && continue
        gcc -std=c99 $WARN -D$o -fsyntax-only -I$out -I. $out/option-$1.c || return 1
    done
    echo "$define, gcc and clang, and with each of the others"
}
two_units() {   # one declares, one implements; and two static copies
    printf '#include "drl.h"\nint main(void) { drl_ctx *c = 0; return drl_ctx_create(0, &c) != DRL_OK; }\n' > $out/a.c
    printf '#define DRL_IMPLEMENTATION\n#include "drl.h"\n#include "drl.h"\n' > $out/b.c
    gcc $WARN "$@" -I. $out/a.c $out/b.c -o $out/two -lm && $out/two || return 1
    printf '#define DRL_STATIC\n#define DRL_IMPLEMENTATION\n#include "drl.h"\nint main(void) { drl_ctx *c = 0; return drl_ctx_create(0, &c) != DRL_OK; }\n' > $out/a.c
    printf '#define DRL_STATIC\n#define DRL_IMPLEMENTATION\n#include "drl.h"\nint other(void);\nint other(void) { return drl_rng_below(0, 0); }\n' > $out/b.c
    gcc $WARN "$@" -I. $out/a.c $out/b.c -o $out/two -lm && $out/two || return 1
    echo "declared and implemented; static twice; $*"
}
examples() {    # plain cc, no flags; then each does a little of its job, and its pictures are there
    e=$out/example
    rm -rf $e
    mkdir -p $e
    for f in examples/*.c; do
        gcc -std=c99 -Wall -Wextra -Werror -Wno-unknown-pragmas -fsyntax-only "$f" || return 1
        cc "$f" -o $e/$(basename "$f" .c) -lm || return 1
    done
    $e/01_toy2d --steps 3 --k 2 --out $e/toy && $e/04_mixture && $e/06_tiles --steps 2 --base 8 --k 1 --batch 4 --size 16 --out $e/tiles &&
    $e/02_train_images --steps 2 --size 16 --base 8 --batch 4 --k 2 --levels 4 --out $e/images &&
    $e/02_train_images --steps 4 --size 16 --base 8 --batch 4 --k 2 --levels 4 --out $e/images --resume &&
    $e/03_sample $e/images.safetensors --count 2 --out $e/sample && $e/05_frame_budget $e/images.safetensors --out $e/frame &&
    $e/07_own_energy --steps 2 --base 8 --k 1 --out $e/own && $e/08_likelihood --steps 3 --count 4 --temperatures 5 &&
    $e/09_long_chain $e/images.safetensors --level 1 --steps 4 --count 2 --out $e/chain &&
    $e/10_image_likelihood --minutes 0.01 --count 2 --temperatures 3 --images 4 --out $e/likelihood || return 1
    for f in toy-checkerboard toy-rings tiles-guidance tiles-inpaint tiles-interpolate tiles-compose images sample frame own chain; do
        [ -s $e/$f.png ] || [ -s $e/$f.ppm ] || { echo "no picture $f"; return 1; }
    done
    echo "$(ls examples/*.c | wc -l) examples built without a flag and run, 11 pictures"
}
tests() {       # NAME COMPILER FLAGS...: every test program, built so and run
    dir=$out/$1 compiler=$2
    shift 2
    mkdir -p "$dir"
    : > $dir/counts
    for t in $TESTS; do
        $compiler "$@" tests/$t.c -o "$dir/$t" -lm || return 1
        "$dir/$t" > $dir/one.log 2>&1
        status=$?
        cat $dir/one.log
        tail -n 1 $dir/one.log >> $dir/counts
        [ $status -eq 0 ] || return 1
    done
    awk '{ p += $(NF-3); f += $(NF-1) } END { print NR " programs: " p " passed, " f " failed"; exit f > 0 || p == 0 }' $dir/counts
}
parity() {
    for f in ../shared/reference/drl-*.safetensors ../shared/reference/cdrl-*.safetensors; do [ -f "$f" ] || { echo "no $f"; return 1; }; done
    gcc -O2 tests/parity.c -o $out/parity -lm && $out/parity ../shared/reference/drl-*.safetensors ../shared/reference/cdrl-*.safetensors
}
# The hash that every exact set has on every machine, and that of SSE2: the table is tests/CONFORMANCE.md.
HASH=$(sed -n 's/^All exact sets: `\([0-9a-f]*\)`.*/\1/p' tests/CONFORMANCE.md)
HASH_SSE2=$(sed -n 's/^SSE2: `\([0-9a-f]*\)`.*/\1/p' tests/CONFORMANCE.md)
conformance() { # NAME COMPILER RUN FLAGS...: the hash, on every set that the build has and any number of threads
    program=$out/$1.exe compiler=$2 run=$3
    shift 3
    [ -n "$HASH" ] && [ -n "$HASH_SSE2" ] || { echo "tests/CONFORMANCE.md names no hash"; return 1; }
    $compiler "$@" tests/conformance.c -o $program -lm || return 1
    run_conformance "$run $program"
}
run_conformance() {
    sets="" runs=0
    for isa in portable sse2 avx2 avx512 neon; do for threads in ${THREADS:-1 2 3 7}; do
        got=$($1 --isa $isa --threads $threads 2>/dev/null | tr -d '\r')
        case $got in *"not available"*) [ $isa = portable ] && { echo "$got"; return 1; }; continue 2;; esac
        echo "$isa $threads $got"
        expected=$HASH
        [ $isa = sse2 ] && expected=$HASH_SSE2
        [ "$got" = "$expected" ] || { echo "$isa, $threads threads: '$got', not $expected"; return 1; }
        runs=$((runs + 1))
        [ $threads = 1 ] && sets="$sets $isa"
    done; done
    echo "$HASH:$sets, $runs runs"
    [ $runs -gt 0 ]
}
levels() {      # COMPILER: the same bits at every level of optimisation
    for o in -O0 -O1 -O2 -O3 -Os; do conformance levels-$1 $1 "" $o || return 1; done
    echo "$1 -O0 -O1 -O2 -O3 -Os: $HASH"
}
fast_math() {   # not finite is noticed under -ffast-math; gcc keeps the bits, clang's square roots are its own
    for c in gcc clang; do
        $c -O2 -ffast-math tests/test_not_finite.c -o $out/fast-math -lm && $out/fast-math || return 1
        $c -O2 -ffinite-math-only tests/test_not_finite.c -o $out/fast-math -lm && $out/fast-math || return 1
    done
    # user headers that were compiled fast before ours
    printf '#include <immintrin.h>\n#include <math.h>\n#define DRL_IMPLEMENTATION\n#include "drl.h"\nint main(void) { return 0; }\n' > $out/fast.c
    gcc -O2 -ffast-math -I. $out/fast.c -o $out/fast -lm || return 1
    clang -O1 -ffast-math tests/conformance.c -o $out/conformance-clang-fast -lm && echo "clang -ffast-math: $($out/conformance-clang-fast)" || return 1
    conformance fast-math gcc "" -O2 -ffast-math
}
neon() {        # under emulation; the portable set runs beside NEON and must give the same bits
    : > $out/neon.counts
    for t in test_rng test_ops; do
        aarch64-linux-gnu-gcc -O2 -static tests/$t.c -o $out/$t-arm -lm || return 1
        qemu-aarch64 $out/$t-arm > $out/neon.one 2>&1
        status=$?
        cat $out/neon.one
        cat $out/neon.one >> $out/neon.counts
        [ $status -eq 0 ] || return 1
    done
    sh tests/kernels.sh $out/neon.counts
}
emulated() {    # NAME COMPILER EMULATOR "TESTS" FLAGS...: the hash, then test programs
    name=$1 compiler=$2 emulator=$3 programs=$4
    shift 4
    THREADS="1 3"           # emulation is slow
    conformance $name $compiler $emulator -O2 -static "$@" || return 1
    for t in $programs; do $compiler -O1 -static "$@" tests/$t.c -o $out/$t-$name -lm && $emulator $out/$t-$name || return 1; done
    echo "$HASH; $programs"
}
demo_32() {     # a model of the demo's kind, trained with a batch of 16: 32 bits load it, and its pixels are those of 64, byte for byte
    d=$out/demo32
    rm -rf $d
    mkdir -p $d
    gcc -O2 examples/06_tiles.c -o $d/tiles -lm && $d/tiles --steps 2 --size 16 --base 16 --k 2 --out $d/demo || return 1
    gcc -O2 -DDRL_NO_SIMD examples/03_sample.c -o $d/x86-64 -lm && $d/x86-64 $d/demo.safetensors --count 1 --k 8 --out $d/x86-64 || return 1
    gcc -m32 -msse2 -mfpmath=sse -O1 -DDRL_NO_SIMD $X32 examples/03_sample.c -o $d/i686 -lm && $d/i686 $d/demo.safetensors --count 1 --k 8 --out $d/i686 || return 1
    arm-linux-gnueabihf-gcc -O1 -static examples/03_sample.c -o $d/armhf -lm && qemu-arm $d/armhf $d/demo.safetensors --count 1 --k 8 --isa portable --out $d/armhf || return 1
    export NODE_PATH=/usr/share/nodejs
    emcc -O1 -sALLOW_MEMORY_GROWTH=1 -sNODERAWFS=1 -sWASM_ASYNC_COMPILATION=0 -sEXIT_RUNTIME=1 examples/03_sample.c -o $d/wasm32.js -lm &&
        node $d/wasm32.js $d/demo.safetensors --count 1 --k 8 --isa portable --out $d/wasm32 || return 1
    for target in i686 armhf wasm32; do cmp $d/x86-64.npy $d/$target.npy || return 1; done
    echo "i686, armhf and wasm32 sample the demo's kind of model with the bits of x86-64"
}
armhf() {       # 32-bit ARM: the hash, files and draws
    emulated armhf arm-linux-gnueabihf-gcc qemu-arm "test_rng test_io"
}
bits32() { tests tests-32 gcc -m32 -msse2 -mfpmath=sse -O1 $X32 -DDRL_THREADS; }
windows() {     # compiles without a warning, pool included, and runs
    printf '#define DRL_THREADS\n#define DRL_IMPLEMENTATION\n#include "drl.h"\nint main(void) { return 0; }\n' > $out/windows.c
    x86_64-w64-mingw32-gcc -std=c99 $WARN -O1 -I. $out/windows.c -o $out/windows.exe -lm || return 1
    export WINEDEBUG=-all WINEPREFIX="$PWD/$out/wine"
    THREADS="1 3"
    conformance windows x86_64-w64-mingw32-gcc wine -O2 -static || return 1
    for t in test_context test_rng test_io test_train; do
        x86_64-w64-mingw32-gcc -O1 -static -DDRL_THREADS tests/$t.c -o $out/$t.exe -lm && wine $out/$t.exe || return 1
    done
    echo "$HASH under wine; test_context test_rng test_io test_train"
}
wasm() {        # WebAssembly has no fused multiply-add: the portable set's is done in double, and gives the same bits
    export NODE_PATH=/usr/share/nodejs          # where Debian keeps what emcc asks node for
    emcc -O2 -sALLOW_MEMORY_GROWTH=1 -sWASM_ASYNC_COMPILATION=0 -sEXIT_RUNTIME=1 tests/conformance.c -o $out/conformance.js -lm || return 1
    THREADS="1 3"
    run_conformance "node $out/conformance.js" || return 1
    for t in test_rng test_not_finite; do
        emcc -O1 -sALLOW_MEMORY_GROWTH=1 -sWASM_ASYNC_COMPILATION=0 -sEXIT_RUNTIME=1 tests/$t.c -o $out/$t.js -lm && node $out/$t.js || return 1
    done
    echo "$HASH in node; test_rng test_not_finite"
}
cortex_m() {    # no operating system: a model in flash, an arena, the same bits as on this machine; and nothing of a heap or of files in it
    mkdir -p $out/cortex
    gcc -O1 -DWRITE_MODEL tests/cortex_m.c -o $out/cortex/write -lm && $out/cortex/write > $out/cortex/model.h || return 1
    for board in mps2-an385 mps2-an386; do
        cpu="-mcpu=cortex-m3"
        [ $board = mps2-an386 ] && cpu="-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16"
        arm-none-eabi-gcc $cpu -mthumb -O2 -ffreestanding -nostartfiles -Wall -Wextra -Werror -I$out/cortex -T tests/cortex_m.ld tests/cortex_m.c -o $out/cortex/$board.elf -lm || return 1
        if arm-none-eabi-nm $out/cortex/$board.elf | grep -E ' (_?malloc(_r)?|_?free(_r)?|_?sbrk(_r)?|fopen|fwrite|_?v?s?n?printf(_r)?|abort|__assert_func)$'; then echo "these should not be there"; return 1; fi
        arm-none-eabi-size $out/cortex/$board.elf
        timeout 120 qemu-system-arm -M $board -nographic -monitor none -serial none -semihosting-config enable=on,target=native -kernel $out/cortex/$board.elf || return 1
    done
    echo "Cortex-M3 and M4: the bits of portable C on this machine"
}
plain_c() {     # a compiler that knows neither vectors nor pragmas
    conformance tcc tcc "" || return 1
    for t in test_rng test_context test_not_finite; do tcc tests/$t.c -o $out/$t-tcc -lm && $out/$t-tcc || return 1; done
    echo "$HASH; test_rng test_context test_not_finite"
}
tidy() {        # the configuration is .clang-tidy; the analyser looks at functions of the main file only, and long at those for vectors
    printf '#define DRL_THREADS\n#define DRL_IMPLEMENTATION\n#include "drl.h"\n' > $out/tidy.c
    clang-tidy --quiet $out/tidy.c -- -std=c99 -I. > $out/tidy.txt 2> $out/tidy.err &&
        clang-tidy --quiet drl.h -- -x c -std=c99 -DDRL_THREADS -DDRL_IMPLEMENTATION -DDRL_NO_SIMD -I. >> $out/tidy.txt 2>> $out/tidy.err
    status=$?
    grep -E 'warning:|error:' $out/tidy.txt
    echo "$(grep -cE 'warning:|error:' $out/tidy.txt) findings, checks: $(sed -n 's/^Checks: *//p' .clang-tidy | cut -c 1-60)"
    [ $status -eq 0 ] && ! grep -qE 'warning:|error:' $out/tidy.txt
}
cpp_check() {   # the configuration is tests/cppcheck.txt
    printf '#define DRL_THREADS\n#define DRL_IMPLEMENTATION\n#include "drl.h"\n' > $out/cpp.c
    cppcheck --std=c99 --language=c --enable=warning,performance,portability --inconclusive --error-exitcode=1 --quiet --suppressions-list=tests/cppcheck.txt -I. -D__x86_64__ -D__GNUC__=12 -D__linux__ -D__unix__ $out/cpp.c > $out/cppcheck.txt 2>&1
    status=$?
    cat $out/cppcheck.txt
    echo "$(grep -cE '(warning|error|performance|portability):' $out/cppcheck.txt) findings"
    return $status
}
symbols() {     # what the object asks of others: the lists below and nothing else
    c='memchr memcmp memcpy memmove memset strchr strcmp strlen strncmp strstr strrchr malloc free __assert_fail __stack_chk_fail __errno_location'
    m='fabs fabsf floor fmaf sqrt sqrtf'
    stdio='fopen fopen64 ferror fread fwrite fflush fclose fseek fseeko fseeko64 ftell ftello ftello64 remove rename fileno fsync stat stat64 __xstat fstat fstat64 open open64 close getpid strerror fdopen access readlink fchmod fchown'
    threads='pthread_create pthread_join pthread_mutex_init pthread_mutex_destroy pthread_mutex_lock pthread_mutex_unlock pthread_cond_init pthread_cond_destroy pthread_cond_wait pthread_cond_signal pthread_cond_broadcast'
    for build in "" "-DDRL_THREADS" "-DDRL_NO_STDIO" "-DDRL_NO_STDIO -DDRL_NO_MALLOC -DNDEBUG"; do for cc in "gcc -O0" "gcc -O2" "clang -O2"; do
        allowed="_GLOBAL_OFFSET_TABLE_ $c $m"
        case $build in *NO_STDIO*) ;; *) allowed="$allowed $stdio";; esac
        case $build in *THREADS*) allowed="$allowed $threads";; esac
        case $build in *NO_MALLOC*) allowed=$(echo " $allowed " | sed 's/ malloc / /; s/ free / /; s/ __assert_fail / /');; esac
        printf '#define DRL_IMPLEMENTATION\n#include "drl.h"\n' > $out/symbols.c
        $cc $build -fno-pie -I. -c $out/symbols.c -o $out/symbols.o || return 1         # -fno-pie: constants that hold addresses are constants
        for s in $(nm -u $out/symbols.o | awk '{ print $2 }' | sed 's/@.*//'); do
            case " $allowed " in *" $s "*) ;; *) echo "$cc $build: $s is asked for"; return 1;; esac
        done
        nm -g --defined-only $out/symbols.o | awk '{ print $3 }' | grep -v '^drl_[a-z]' && { echo "$cc $build: other names than drl_... are defined"; return 1; }
        nm $out/symbols.o | awk '$2 ~ /^[bBdDC]$/ { print }' | grep -vE ' (__|CSWTCH|switch)' | grep . && { echo "$cc $build: variables that can change"; return 1; }
        echo "$cc $build: $(nm -u $out/symbols.o | wc -l) symbols of the C library, $(nm -g --defined-only $out/symbols.o | wc -l) functions"
    done; done
    return 0
}
# Functions whose names end in _avx2 or _avx512 may hold registers and encodings of AVX, and no other.
avx_only_where_allowed() {
    printf '#define DRL_THREADS\n#define DRL_IMPLEMENTATION\n#include "drl.h"\n' > $out/avx.c
    for cc in "gcc -O0" "gcc -O2" "gcc -O3" "clang -O0" "clang -O2"; do
        $cc -I. -c $out/avx.c -o $out/avx.o || return 1
        objdump -d --no-show-raw-insn $out/avx.o | awk -v cc="$cc" '
            /^[0-9a-f]+ <.*>:$/ { f = $2; gsub(/[<>:]/, "", f); base = f; sub(/\.(part|constprop|isra|cold|lto_priv).*/, "", base); sub(/\.[0-9]+$/, "", base)
                ok = base ~ /_avx2$/ || base ~ /_avx512$/; functions++; if (ok) held++; next }
            /^ +[0-9a-f]+:/ { avx = $0 ~ /%[yz]mm|%k[0-7]/ || $2 ~ /^v[a-z]/ && $2 !~ /^ver[rw]$/
                if (avx && ok) used++
                if (avx && !ok) { print cc ": " f ": " $0; bad++ } }
            END { print cc ": " functions " functions, " held " may hold AVX, " used + 0 " such instructions there, " bad + 0 " elsewhere"; exit bad > 0 || used == 0 }' || return 1
    done
}
lto() {
    two_units -O2 -flto && conformance lto gcc "" -O2 -flto && conformance lto-clang clang "" -O2 -flto=thin -fuse-ld=lld
}
coverage() { sh tests/coverage.sh $out/coverage; }
mutate() { sh tests/mutate.sh $out/mutants; }

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
soak() { gcc -O2 tests/soak.c -o $out/soak -lm && $out/soak; }

checks() {     # the longest first, so that no lane ends long after the others
check mutations gcc mutate
check tests-thread-sanitizer gcc tests tests-tsan gcc -O1 -g -fsanitize=thread -DDRL_THREADS
check tests-sanitized gcc tests tests-sanitized gcc -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -DDRL_THREADS
check coverage "gcc gcov" coverage
for c in gcc clang; do for s in c99 c11 c17; do check warnings-$c-$s $c header $c c $s; done; done
for c in g++ clang++; do for s in c++11 c++20; do check warnings-$c-$s $c header $c c++ $s; done; done
for o in DRL_STATIC DRL_NO_SIMD DRL_NO_STDIO DRL_NO_MALLOC DRL_THREADS DRL_API DRL_ASSERT DRL_HEADER_NAME; do check option-$o "gcc clang" option $o; done
check two-units gcc two_units
check examples-plain cc examples
check symbols "gcc clang nm" symbols
check avx "gcc clang objdump" avx_only_where_allowed
check clang-tidy clang-tidy tidy
check cppcheck cppcheck cpp_check
check parity gcc parity
check levels-gcc gcc levels gcc
check levels-clang clang levels clang
check conformance-c++ g++ conformance c++ g++ "" -x c++ -O2
check conformance-native gcc conformance native gcc "" -O3 -march=native
check conformance-32 gcc conformance conformance-32 gcc "" -m32 -msse2 -O2 $X32
check fast-math "gcc clang" fast_math
check lto "gcc clang ld.lld" lto
check tcc tcc plain_c
check aarch64 "aarch64-linux-gnu-gcc qemu-aarch64" conformance aarch64 aarch64-linux-gnu-gcc qemu-aarch64 -O2 -static
check neon "aarch64-linux-gnu-gcc qemu-aarch64" neon
check s390x "s390x-linux-gnu-gcc qemu-s390x" emulated s390x s390x-linux-gnu-gcc qemu-s390x "test_rng test_io"
# The C library's cos, which test_rng compares with, has an instruction that qemu-ppc does not know.
check powerpc "powerpc-linux-gnu-gcc qemu-ppc" emulated powerpc powerpc-linux-gnu-gcc qemu-ppc "test_io test_not_finite"
check wasm "emcc node" wasm
check windows "x86_64-w64-mingw32-gcc wine" windows
check cortex-m "arm-none-eabi-gcc qemu-system-arm" cortex_m
check demo-32 "gcc arm-linux-gnueabihf-gcc qemu-arm emcc node" demo_32
check armhf "arm-linux-gnueabihf-gcc qemu-arm" armhf
check tests-O0 gcc tests tests-O0 gcc -O0 -DDRL_THREADS
check tests-O3-native gcc tests tests-O3-native gcc -O3 -march=native -DDRL_THREADS
check tests-clang clang tests tests-clang clang -O2 -DDRL_THREADS
check tests-c++ g++ tests tests-c++ g++ -x c++ -O1 -DDRL_THREADS
check tests-32 gcc bits32
check faults-sanitized gcc faults faults-sanitized gcc -O1 -g -DDRL_NO_SIMD -fsanitize=address,undefined -fno-sanitize-recover=all
# x87 has digits of its own, and so would not know the states that the corpus keeps.
check faults-32 gcc faults faults-32 gcc -m32 -msse2 -O1 -DDRL_NO_SIMD $X32
check faults-ndebug gcc faults faults-ndebug gcc -O2 -DNDEBUG
check faults-c++ g++ faults faults-c++ g++ -x c++ -O1 -DDRL_NO_SIMD
check kill gcc sh tests/kill.sh 200
check soak gcc soak
check fuzz clang sh tests/fuzz.sh 20
check valgrind-context valgrind memory valgrind test_context "valgrind -q --error-exitcode=9 --leak-check=full" gcc -O1 -g -DDRL_NO_SIMD
check valgrind-failure valgrind memory valgrind test_failure "valgrind -q --error-exitcode=9 --leak-check=full" gcc -O1 -g -DDRL_NO_SIMD
check msan-ops clang memory msan test_ops "" clang -O1 -g -fsanitize=memory -fno-sanitize-recover=all
check msan-train clang memory msan test_train "" clang -O1 -g -fsanitize=memory -fno-sanitize-recover=all
}
if [ -n "$LIST$LANE" ]; then checks; exit 0; fi
[ -n "$LANES" ] || LANES=$(nproc 2>/dev/null || echo 1)
for lane in $(seq "$LANES"); do LANE=$lane sh tests/check-all.sh & done
wait

echo
LIST=1 sh tests/check-all.sh | while read -r name; do grep "^$name " $all/table; done |
    awk '{ rest = $0; for (i = 0; i < 3; ++i) sub(/^[^ ]* ?/, "", rest); printf "%-24s %-8s %5s s  %s\n", $1, $2, $3, rest }'
awk '$2 == "ok" { p++ } $2 == "skipped" { s++ } $2 != "ok" && $2 != "skipped" { f++ } END { print p + 0 " passed, " f + 0 " failed, " s + 0 " skipped"; exit f > 0 || p == 0 }' $all/table
