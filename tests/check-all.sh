#!/bin/sh
# The heavier checks, run by `make check-all`. Prints a table of what ran; a missing tool is a failure unless
# SKIP="name ..." names the check. ONLY="name ..." runs just these; LIST=1 prints the names; LANES=N runs so
# many at a time (one a processor). Names the packages that are missing; INSTALL=1 installs them with apt-get.
cd "$(dirname "$0")/.." || exit 1
all=build/check-all
# each lane in a folder of its own; it takes the next check that no other has claimed
out=$all/lane${LANE:-0}
mkdir -p $out
export CHECK_DIR=$out
WARN="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wdouble-promotion -Wcast-align -Werror"
TESTS=$(cd tests && ls test_*.c | sed 's/\.c$//')
# where the headers of -m32 lie when gcc-12-multilib came without gcc-multilib
X32=-I/usr/include/x86_64-linux-gnu

# MODULE...: the first Python that has them; Debian's, where another comes first in PATH
python_with() {
    for p in python3 /usr/bin/python3; do
        $p -c "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))" "$@" \
            2> /dev/null && { echo $p; return; }
    done
    return 1
}
# a program, or a module of Python: python3:MODULE
has() {
    case $1 in
    python3:*) python_with "${1#python3:}" > /dev/null;;
    *) command -v "$1" >/dev/null 2>&1;;
    esac
}
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
need chromium chromium
need mpicc libopenmpi-dev
need mpirun openmpi-bin
need python3:numpy python3-numpy
need python3:torch python3-torch
# gcc-multilib would remove the cross compilers
[ -d /usr/lib/gcc/x86_64-linux-gnu/12/32 ] || want="$want gcc-12-multilib"
ls /usr/lib/llvm-14/lib/clang/*/lib/linux/libclang_rt.fuzzer-* > /dev/null 2>&1 ||
    want="$want libclang-rt-14-dev"
if [ -n "$want" ] && [ -z "$LIST$LANE" ] && [ "$INSTALL" != 1 ]; then
    echo "Not installed, and their checks will be MISSING:$want"
    echo "INSTALL=1 make check-all runs apt-get install for them first."
elif [ -n "$want" ] && [ -z "$LIST$LANE" ]; then
    echo "installing$want"
    {
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $want
    } > $out/install.log 2>&1 || echo "the installation failed: $out/install.log"
fi

# check NAME "TOOL ..." COMMAND...: runs the command, notes the result, the seconds and the last line of what
# it printed.
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
    echo "$name $result $(($(date +%s) - start)) $(tail -n 1 $all/$name.log | cut -c 1-64)" >> $all/table
    echo "$name $result"
}

# FILE LINES...: a program of these lines that holds the implementation
implementation() {
    file=$1
    shift
    printf '%s\n' "$@" '#define DRL_IMPLEMENTATION' '#include "drl.h"' 'int main(void) { return 0; }' > $file
}
header() {      # COMPILER LANGUAGE STANDARD: the implementation without a warning, optimised and not
    implementation $out/header-$1-$3.c '#define DRL_THREADS'
    for o in -O0 -O2; do
        $1 -x $2 -std=$3 $WARN $o -I. -c $out/header-$1-$3.c -o $out/header-$1-$3.o || return 1
    done
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
    printf '%s\n' "$define" '#define DRL_IMPLEMENTATION' "#include \"$file\"" \
        'int main(void) { return drl_ctx_create(NULL, NULL) != DRL_E_ARGUMENT; }' > $out/option-$1.c
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
    main='int main(void) { drl_ctx *c = 0; return drl_ctx_create(0, &c) != DRL_OK; }'
    printf '%s\n' '#include "drl.h"' "$main" > $out/a.c
    printf '#define DRL_IMPLEMENTATION\n#include "drl.h"\n#include "drl.h"\n' > $out/b.c
    gcc $WARN "$@" -I. $out/a.c $out/b.c -o $out/two -lm && $out/two || return 1
    printf '%s\n' '#define DRL_STATIC' '#define DRL_IMPLEMENTATION' '#include "drl.h"' "$main" > $out/a.c
    printf '%s\n' '#define DRL_STATIC' '#define DRL_IMPLEMENTATION' '#include "drl.h"' 'int other(void);' \
        'int other(void) { return drl_rng_below(0, 0); }' > $out/b.c
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
    run_examples $e || return 1
    echo "$(ls examples/*.c | wc -l) examples built without a flag and run, $pictures pictures"
}
# DIR [RUNNER]: each example, built as DIR/NAME or DIR/NAME.exe, does a little of its job, and its pictures
# are there
run_examples() {
    dir=$1 runner=$2
    small 01_toy2d --steps 3 --k 2 --out $dir/toy &&
    small 02_train_images --steps 2 --size 16 --base 8 --batch 4 --flip --shift 2 --palette \
        --out $dir/images --log $dir/run.log --log-every 1 > $dir/run.txt &&
    small 02_train_images --steps 4 --resume --out $dir/images --log $dir/run.log --log-every 1 &&
    small 15_plot_log $dir/run.log --out $dir/log &&
    small 02_train_images --drl --steps 2 --size 16 --base 8 --batch 4 --k 2 --levels 4 --out $dir/images &&
    small 03_sample $dir/images.safetensors --count 2 --out $dir/sample &&
    small 03_sample $dir/images.safetensors --count 2 --watch --frames 12 --out $dir/watch &&
    keep_quarter $dir &&
    small 04_mixture &&
    small 05_frame_budget --budget 0 --out $dir/frame |     # the model of the repository
        grep ' 0 allocations in frames; a saved game of [1-9]' > /dev/null &&
    small 06_tiles --steps 2 --base 8 --k 1 --batch 4 --size 16 --out $dir/tiles &&
    small 07_own_energy --steps 2 --base 8 --k 1 --out $dir/own &&
    small 08_likelihood --steps 3 --count 4 --temperatures 5 &&
    small 09_long_chain $dir/images.safetensors --level 1 --steps 4 --count 2 --watch --out $dir/chain &&
    small 10_image_likelihood --steps 2 --count 2 --temperatures 3 --images 4 --out $dir/likelihood &&
    small 11_own_network --steps 2 --base 8 --batch 4 --levels 4 --out $dir/network &&
    small 11_own_network --steps 4 --base 8 --batch 4 --levels 4 --resume --out $dir/network &&
    small 11_own_network --model $dir/network.safetensors --base 8 --levels 4 --out $dir/network &&
    small 13_model_to_c $dir/images.safetensors --f16 --out $dir/model &&
    small 13_model_to_c $dir/images.safetensors --scorer 0 --out $dir/scorer &&
    small 14_anomaly --steps 2 --out $dir/anomaly || return 1
    awk 'BEGIN { print "volts"; for (i = 0; i < 3000; ++i) print 20 + 3 * sin(i * 0.3) }' > $dir/signal.csv
    small 14_anomaly --data $dir/signal.csv --steps 2 --out $dir/anomaly-csv || return 1
    grep -q '^#define model_BLOCK [0-9]*$' $dir/model.h || { echo "no model.h"; return 1; }
    grep -q ', 34364 + 524516 parameters,' $dir/run.txt || { head -n 1 $dir/run.txt; return 1; }
    [ $(wc -l < $dir/run.log) = 4 ] || { echo "$(wc -l < $dir/run.log) lines for 4 steps"; return 1; }
    pictures="toy-checkerboard toy-rings tiles-guidance tiles-inpaint tiles-interpolate tiles-compose images
        sample watch frame own chain network log"
    for f in $pictures; do
        [ -s $dir/$f.png ] || [ -s $dir/$f.ppm ] || { echo "no picture $f"; return 1; }
    done
    for f in watch-grow toy-rings-grow chain-watch; do      # where there is PNG at all
        [ ! -s $dir/${f%-*}.png ] || grep -q acTL $dir/$f.png || { echo "no animation $f"; return 1; }
    done
    pictures=$(echo $pictures | wc -w)          # for whoever tells of them
}
# DIR: the upper quarter of a black image is kept in every sample, which has -1 there
keep_quarter() {
    npy='\223NUMPY\1\0\166\0%-117s\n'
    { printf $npy "{'descr': '|u1', 'fortran_order': False, 'shape': (16, 16, 4), }"
      head -c 1024 /dev/zero; } > $1/black.npy
    { printf $npy "{'descr': '|b1', 'fortran_order': False, 'shape': (16, 16), }"
      head -c 64 /dev/zero | tr '\0' '\1'
      head -c 192 /dev/zero; } > $1/upper.npy
    small 03_sample $1/images.safetensors --count 2 --image $1/black.npy --mask $1/upper.npy --again "2 1" \
        --out $1/kept ||
        return 1
    same=$(tail -c 8192 $1/kept.npy | od -An -v -tf4 -w2048 | tr -s ' ' '\n' | grep -c '^-1$')
    [ $same = 512 ] || { echo "$same numbers are kept, not 512"; return 1; }
    { printf 'P5\n16 16\n255\n'                # a mask that is a picture keeps the same
      head -c 64 /dev/zero | tr '\0' '\1'
      head -c 192 /dev/zero; } > $1/upper.pgm
    small 03_sample $1/images.safetensors --count 2 --image $1/black.npy --mask $1/upper.pgm --again "2 1" \
        --out $1/grey || return 1
    cmp $1/kept.npy $1/grey.npy
}
small() {               # PROGRAM ARGUMENTS...: one program of run_examples
    program=$dir/$1
    [ -f "$program" ] || program=$program.exe
    shift
    $runner "$program" "$@" || { echo "$program $*: status $?"; return 1; }
}
# DIR: each benchmark, built as DIR/NAME, does a little, after run_examples in the same DIR
run_benches() {
    dir=$1 runner=
    small bench --isa portable fwd-1-32-32-b1 &&
    small bench --isa portable --json --shape 4-6-8-b2 fwd > $dir/bench.json &&
    small bench --isa portable --compare $dir/bench.json --shape 4-6-8-b2 fwd > $dir/bench.txt &&
    grep -q '^1 lines in both: .*; 0 not in the old run' $dir/bench.txt &&
    small ablation --seeds 2 --steps 2 --k 1 --count 100 &&
    small landscape --seeds 1 --data rings --form "t6 cdrl t1k score10" --steps 2 --count 50 &&
    small sprites $dir/tiles.safetensors --guidance 1 --each 1 --again "2 1" --steps 1 &&
    small nearest $dir/sample.npy --flip --count 2 --out $dir/nearest || return 1
    [ -d ../shared/data/mnist ] || { echo "evaluate: skipped, no ../shared/data/mnist"; return 0; }
    small 02_train_images --data ../shared/data/mnist/t10k-images-idx3-ubyte --half --steps 1 --base 8 \
        --batch 2 --k 1 --levels 4 --out $dir/digits &&
    small evaluate $dir/digits.safetensors --count 2 --chains "1 K" --noise --images 4 &&
    small evaluate $dir/digits.safetensors --count 2 --ood
}
# DIR COMPILER FLAGS...: examples and benchmarks, but for peers, which needs oneDNN; the library is compiled
# once
build_programs() {
    dir=$1 compiler=$2
    shift 2
    rm -rf $dir
    mkdir -p $dir
    printf '#define DRL_IMPLEMENTATION\n#include "drl.h"\n' > $dir/drl.c
    $compiler "$@" -I. -c $dir/drl.c -o $dir/drl.o || return 1
    for f in examples/*.c bench/*.c; do
        case $f in
        bench/peers.c) ;;
        # it measures what is inside; run_benches: portable
        bench/bench.c) $compiler "$@" -DDRL_NO_SIMD $f -o $dir/bench -lm || return 1;;
        *) $compiler "$@" -include string.h -include math.h -DDRL__IMPLEMENTED $f $dir/drl.o \
            -o $dir/$(basename $f .c) -lm || return 1;;
        esac
    done
    rm $dir/drl.c $dir/drl.o
}
# what memory holds before it is written changes nothing: all outputs with locals that begin as zeros and as
# 0xFE bytes
pattern() {
    for fill in zero pattern; do
        build_programs $out/filled gcc -O1 -ftrivial-auto-var-init=$fill || return 1
        { run_examples $out/filled && run_benches $out/filled; } > $out/$fill.txt 2>&1 ||
            { tail $out/$fill.txt; return 1; }
        rm -f $out/filled/*.[ch]
        for f in examples/*.c bench/*.c; do rm -f $out/filled/$(basename $f .c); done
        rm -f $out/filled/*.checkpoint $out/filled/run.log $out/filled/bench.*      # they hold seconds
        (cd $out/filled && cksum *) > $out/$fill.files
        # without what tells a time
        sed -E -e '/^\{?"?fwd-/d; s/[0-9.]+ (s|ms|steps\/s)\b/T \1/g' \
            -e 's/[0-9]+:[0-9]+ left/T left/; s/^( *[0-9]+ .* [0-9]+) +[0-9]+$/\1 T/' \
            -e 's/ +[0-9]+\.[0-9]$/ T/; s/([0-9] \+ [0-9]+) +[0-9.]+ /\1 T /' \
            $out/$fill.txt > $out/$fill.lines
    done
    diff $out/zero.lines $out/pattern.lines && diff $out/zero.files $out/pattern.files || return 1
    echo "$(wc -l < $out/zero.lines) lines and $(wc -l < $out/zero.files) files," \
        "the same with zeros and with a pattern"
}
# files as people have them, given to a program: read, asked about with the options that answer, or named
data_files() {
    dir=$out/data
    rm -rf $dir
    mkdir -p $dir
    gcc -O1 examples/02_train_images.c -o $dir/train -lm || return 1
    gcc -O1 examples/01_toy2d.c -o $dir/toy2d -lm || return 1
    npy() {
        printf '\223NUMPY\1\0\166\0%-117s\n' "{'descr': '$2', 'fortran_order': $3, 'shape': ($4), }" > $dir/$1
        head -c $5 $6 >> $dir/$1
    }
    npy u8 '|u1' False '6, 16, 16, 3' 4608 /dev/urandom
    npy fortran '|u1' True '6, 16, 16, 3' 4608 /dev/urandom
    npy nchw '|u1' False '6, 3, 16, 16' 4608 /dev/urandom
    npy f4 '<f4' False '6, 16, 16, 3' 18432 /dev/zero
    npy i8 '<i8' False '6, 16, 16' 12288 /dev/zero
    npy rows '|u1' False '6, 256' 1536 /dev/urandom
    npy one '|u1' False '16, 16, 3' 768 /dev/urandom
    npy labels '>f8' False '6, 1' 48 /dev/zero
    { printf '\3\61'; head -c 3072 /dev/urandom; } > $dir/cifar100
    pam() {
        printf 'P7\nWIDTH %d\nHEIGHT %d\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n' $2 $3 > $dir/$1
        head -c $(($2 * $3 * 4)) $4 >> $dir/$1
    }
    mkdir -p $dir/sprites/bat $dir/sprites/cat $dir/pngs $dir/both/cat $dir/void
    pam sprites/cat/3.pam 16 16 /dev/urandom
    pam sprites/bat/1.pam 16 16 /dev/urandom
    pam sprites/bat/2.PAM 16 16 /dev/urandom
    echo 'not a picture' > $dir/sprites/bat/notes.txt
    cp $dir/sprites/cat/3.pam $dir/both
    cp $dir/sprites/cat/3.pam $dir/both/cat
    pam sheet.pam 48 32 /dev/urandom
    pam nothing.pam 48 32 /dev/zero
    { printf 'P6\n16 16\n255\n'; head -c 768 /dev/urandom; } > $dir/one.ppm
    printf 'P4\n8 1\n\1' > $dir/one.pbm
    : > $dir/pngs/a.png
    printf 'x,y\n1,2\n3,4.5\n-1,0\n' > $dir/points.csv
    printf '1,2,3\n4,5,6\n' > $dir/three.csv
    gzip -c $dir/u8 > $dir/gz
    printf 'PK\3\4abcdefgh' > $dir/zip
    printf '\211PNG\r\n\032\nabcdefgh' > $dir/png
    printf '<!DOCTYPE html>' > $dir/html
    printf 'version https://git-lfs.github.com/spec/v1\n' > $dir/lfs
    : > $dir/empty
    lines=0
    while IFS='|' read -r options want; do
        said=$(cd $dir &&
            timeout 60 ./train --steps 1 --base 8 --batch 2 --k 1 --levels 4 --out o $options 2>&1)
        case $said in *"$want"*) ;; *) echo "$options: '$said' has no '$want'"; return 1;; esac
        lines=$((lines + 1))
    done << END
--data u8|6 images of 16 x 16 x 3,
--data fortran|6 images of 16 x 16 x 3,
--data nchw|set layout
--data nchw --layout nchw|6 images of 16 x 16 x 3,
--data f4|6 images of 16 x 16 x 3,
--data f4 --range -1:1|6 images of 16 x 16 x 3,
--data i8|set low and high
--data i8 --range 0:255|6 images of 16 x 16 x 1,
--data rows|set height and width
--data rows --shape 16x16|6 images of 16 x 16 x 1,
--data one|is one image with 3 channels, or 16 grey images of 16 x 3
--data one --shape 16x16x3|1 images of 16 x 16 x 3,
--data u8 --data labels|6 images of 16 x 16 x 3,
--data cifar100|1 images of 32 x 32 x 3,
--data cifar100 --labels coarse|1 images of 32 x 32 x 3,
--data gz|a gzip file: gunzip it first
--data zip|a zip archive
--data png|a PNG picture
--data html|a page of HTML
--data lfs|git lfs pull
--data empty|an empty file
--data sprites|classes and their images: 1 bat (2), 2 cat (1)
--data sprites|3 images of 16 x 16 x 4, 2 classes,
--data sprites --only 1|2 images of 16 x 16 x 4, 0 classes,
--data sprites --only 3|--only 3: no image has this label; the data has 2 classes
--data u8 --only 1|--only 1: no image has this label; the data has 0 classes
--data sprites/bat|2 images of 16 x 16 x 4, 0 classes,
--data sprites/bat --data sprites/cat|3 images of 16 x 16 x 4, 0 classes,
--data sprites --data sheet.pam|a folder of classes stands alone
--data both|pictures beside sub-folders
--data pngs|in it run: mogrify -format pam
--data sprites/bat --data void|--data void: a folder without .pgm, .ppm and .pam files
--data sheet.pam --tile 16x16|6 images of 16 x 16 x 4,
--data sheet.pam --data nothing.pam --tile 16x16|6 images of 16 x 16 x 4,
--data sheet.pam --tile 16x20|sheet.pam: images of 32 x 48 are no multiple of tiles of 16 x 20
--data sprites/bat --data sheet.pam|images of 32 x 48 x 4 after images of 16 x 16 x 4 in 1.pam
--data one.ppm|1 images of 16 x 16 x 3,
--data one.pbm|a netpbm picture
END
    while IFS='|' read -r options want; do
        said=$(cd $dir && timeout 60 ./toy2d --steps 1 --k 1 --out o $options 2>&1)
        case $said in *"$want"*) ;; *) echo "$options: '$said' has no '$want'"; return 1;; esac
        lines=$((lines + 1))
    done << END
--data points.csv|points.csv: 3 points, x 1 +- 1.63299,
--data three.csv|rows of 3 numbers, the description wants 2
END
    echo "$lines data files: read, asked about or named"
}
refuses() {             # what no program understands is refused with a sentence
    build_programs $out/refuses gcc -O0 -DDRL_NO_SIMD -DDRL_THREADS || return 1
    for f in tests/*.c; do
        [ $f = tests/cortex_m.c ] ||
            gcc -O0 -DDRL_NO_SIMD -DDRL_THREADS $f -o $out/refuses/$(basename $f .c) -lm || return 1
    done
    sh tests/refuse.sh $out/refuses
}
# models that programs write x programs that take one: a picture or a line, or a sentence and status 1 or 2,
# never a crash
matrix() {
    build_programs $out/matrix gcc -O1 || return 1
    dir=$out/matrix runner=
    train="--steps 2 --base 8 --batch 4"
    small 02_train_images $train --drl --k 2 --out $dir/m-plain &&
    small 02_train_images $train --drl --k 2 --levels 3 --out $dir/m-few &&
    small 02_train_images $train --drl --half --k 2 --out $dir/m-half &&
    small 02_train_images $train --cdrl --k 2 --out $dir/m-cdrl &&
    small 02_train_images $train --cdrl --classes --k 2 --out $dir/m-classes &&
    small 02_train_images $train --t1k --out $dir/m-t1k &&
    small 06_tiles --steps 2 --base 8 --batch 4 --k 1 --levels 4 --size 16 --out $dir/m-tiles &&
    small 08_likelihood --steps 2 --count 4 --temperatures 3 --save $dir/m-plane.safetensors &&
    small 10_image_likelihood --steps 2 --count 2 --temperatures 3 --images 4 --out $dir/m-ten &&
    small 11_own_network --steps 2 --base 8 --batch 4 --levels 4 --out $dir/m-own || return 1
    cells=0 drawn=0
    for model in $dir/m-*.safetensors; do
        while read -r name options; do
            rm -f $dir/cell.*
            timeout 300 $dir/$name $(echo "$options" | sed "s|MODEL|$model|") --threads 1 > $dir/said 2>&1
            status=$? cells=$((cells + 1))
            echo "$(basename $model .safetensors) $name $options: $status $(tail -n 1 $dir/said)"
            case $status in 0) drawn=$((drawn + 1));; 1|2) ;; *) return 1;; esac
            [ -s $dir/said ] || return 1
            grep -q -- '-1 steps\|-1 Langevin' $dir/said && { echo "a count of -1"; return 1; }
        done <<END
03_sample MODEL --count 2 --out $dir/cell
03_sample MODEL --count 2 --watch --out $dir/cell
05_frame_budget MODEL --out $dir/cell
06_tiles --model MODEL --out $dir/cell
07_own_energy --model MODEL --out $dir/cell
08_likelihood --model MODEL --count 4 --temperatures 3
09_long_chain MODEL --steps 2 --count 2 --out $dir/cell
09_long_chain MODEL --classes --steps 2 --count 2 --out $dir/cell
10_image_likelihood MODEL --level 2 --count 2 --temperatures 3 --images 4 --out $dir/cell
11_own_network --model MODEL --base 8 --levels 4 --out $dir/cell
sprites MODEL --each 1 --guidance 1 --again 1
END
    done
    for m in plain few half cdrl classes t1k tiles ten; do      # pictures of any kind of model
        small 03_sample $dir/m-$m.safetensors --count 2 --watch --out $dir/cell || return 1
        small 05_frame_budget $dir/m-$m.safetensors --out $dir/cell || return 1
    done
    echo "$cells cells: $drawn run, $((cells - drawn)) say why not"
    [ $drawn -gt $((cells / 2)) ]
}
interrupts() {          # what Ctrl-C leaves, and that a resumed run ends with the same bits
    mkdir -p $out/interrupt
    for f in examples/01*.c examples/02*.c examples/03*.c examples/06*.c examples/07*.c \
        examples/08*.c examples/09*.c examples/1[012]*.c bench/ablation.c \
        bench/landscape.c bench/bench.c tests/soak.c; do
        gcc -O1 $f -o $out/interrupt/$(basename $f .c) -lm || return 1
    done
    sh tests/interrupt.sh $out/interrupt
}
msan_examples() {       # examples and benchmarks under the checker of uninitialised memory
    build_programs $out/msan-examples clang -O1 -g -fsanitize=memory -fno-sanitize-recover=all &&
        run_examples $out/msan-examples && run_benches $out/msan-examples || return 1
    echo "examples and benchmarks, nothing read before it is written"
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
    awk '{ p += $(NF-3); f += $(NF-1) }
        END { print NR " programs: " p " passed, " f " failed"; exit f > 0 || p == 0 }' $dir/counts
}
parity() {
    files="../shared/reference/drl-*.safetensors ../shared/reference/cdrl-*.safetensors"
    for f in $files; do
        [ -f "$f" ] || { echo "no $f"; return 1; }
    done
    gcc -O2 tests/parity.c -o $out/parity -lm && $out/parity $files
}
# The hash that every fused set has on every machine, and that of the unfused ones: the table is
# tests/CONFORMANCE.md.
HASH=$(sed -n 's/^All fused sets: `\([0-9a-f]*\)`.*/\1/p' tests/CONFORMANCE.md)
HASH_UNFUSED=$(sed -n 's/^Unfused sets: `\([0-9a-f]*\)`.*/\1/p' tests/CONFORMANCE.md)
UNFUSED="$HASH_UNFUSED (sse2 is unfused)"
# NAME COMPILER RUN FLAGS...: the hash, on every set that the build has and any number of threads
conformance() {
    program=$out/$1.exe compiler=$2 run=$3
    shift 3
    [ -n "$HASH" ] && [ -n "$HASH_UNFUSED" ] || { echo "tests/CONFORMANCE.md names no hash"; return 1; }
    $compiler "$@" tests/conformance.c -o $program -lm || return 1
    run_conformance "$run $program"
}
# every set by its name, then the automatic choice, which may be unfused only where no fused set of vectors
# was found
run_conformance() {
    sets="" runs=0
    for isa in portable sse2 fma128 avx2 avx512 neon wasm auto; do for threads in ${THREADS:-1 2 3 7}; do
        got=$($1 --isa $isa --threads $threads 2>/dev/null | tr -d '\r')
        case $got in *"not available"*) [ $isa = portable ] && { echo "$got"; return 1; }; continue 2;; esac
        echo "$isa $threads $got"
        expected=$HASH
        case "$isa$sets" in
        "sse2 "*|"auto portable sse2"|"auto portable sse2 auto") expected="$HASH_UNFUSED (sse2 is unfused)";;
        "wasm "*|"auto portable wasm"|"auto portable wasm auto") expected="$HASH_UNFUSED (wasm is unfused)";;
        esac
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
# not finite is noticed under -ffast-math; gcc keeps the bits, clang's square roots are its own
fast_math() {
    for c in gcc clang; do
        $c -O2 -ffast-math tests/test_not_finite.c -o $out/fast-math -lm && $out/fast-math || return 1
        $c -O2 -ffinite-math-only tests/test_not_finite.c -o $out/fast-math -lm && $out/fast-math || return 1
    done
    # user headers that were compiled fast before ours
    implementation $out/fast.c '#include <immintrin.h>' '#include <math.h>'
    gcc -O2 -ffast-math -I. $out/fast.c -o $out/fast -lm || return 1
    clang -O1 -ffast-math tests/conformance.c -o $out/conformance-clang-fast -lm || return 1
    echo "clang -ffast-math: $($out/conformance-clang-fast)" || return 1
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
    for t in $programs; do
        $compiler -O1 -static "$@" tests/$t.c -o $out/$t-$name -lm && $emulator $out/$t-$name || return 1
    done
    echo "$HASH; $programs"
}
# A model of the demo's kind, trained with a batch of 16: 32 bits load it, and draw the pixels of 64, byte for
# byte.
demo_32() {
    d=$out/demo32
    rm -rf $d
    mkdir -p $d
    gcc -O2 examples/06_tiles.c -o $d/tiles -lm && $d/tiles --steps 2 --size 16 --base 16 --k 2 \
        --out $d/demo || return 1
    gcc -O2 -DDRL_NO_SIMD examples/03_sample.c -o $d/x86-64 -lm &&
        $d/x86-64 $d/demo.safetensors --count 1 --k 8 --out $d/x86-64 || return 1
    gcc -m32 -msse2 -mfpmath=sse -O1 -DDRL_NO_SIMD $X32 examples/03_sample.c -o $d/i686 -lm &&
        $d/i686 $d/demo.safetensors --count 1 --k 8 --out $d/i686 || return 1
    arm-linux-gnueabihf-gcc -O1 -static examples/03_sample.c -o $d/armhf -lm &&
        qemu-arm $d/armhf $d/demo.safetensors --count 1 --k 8 --isa portable --out $d/armhf || return 1
    export NODE_PATH=/usr/share/nodejs
    emcc -O1 -sALLOW_MEMORY_GROWTH=1 -sNODERAWFS=1 -sWASM_ASYNC_COMPILATION=0 -sEXIT_RUNTIME=1 \
        examples/03_sample.c -o $d/wasm32.js -lm &&
        node $d/wasm32.js $d/demo.safetensors --count 1 --k 8 --isa portable --out $d/wasm32 || return 1
    for target in i686 armhf wasm32; do cmp $d/x86-64.npy $d/$target.npy || return 1; done
    echo "i686, armhf and wasm32 sample the demo's kind of model with the bits of x86-64"
}
armhf() {       # 32-bit ARM: the hash, files and draws; the hash with the fused multiply-add of VFPv4
    emulated armhf arm-linux-gnueabihf-gcc qemu-arm "test_rng test_io" || return 1
    flags="-mcpu=cortex-a7 -mfpu=vfpv4"
    conformance armhf-vfpv4 arm-linux-gnueabihf-gcc qemu-arm -O2 -static $flags || return 1
    arm-linux-gnueabihf-objdump -d $out/armhf-vfpv4.exe | grep -q 'vfma\.f32' || { echo "no vfma"; return 1; }
    echo "$HASH, also with $flags; test_rng test_io"
}
bits32() { tests tests-32 gcc -m32 -msse2 -mfpmath=sse -O1 $X32 -DDRL_THREADS; }
windows() {     # compiles without a warning, pool included, and runs
    implementation $out/windows.c '#define DRL_THREADS'
    x86_64-w64-mingw32-gcc -std=c99 $WARN -O1 -I. $out/windows.c -o $out/windows.exe -lm || return 1
    export WINEDEBUG=-all WINEPREFIX="$PWD/$out/wine"
    THREADS="1 3"
    conformance windows x86_64-w64-mingw32-gcc wine -O2 -static || return 1
    for t in test_context test_rng test_io test_train; do
        x86_64-w64-mingw32-gcc -O1 -static -DDRL_THREADS tests/$t.c -o $out/$t.exe -lm &&
            wine $out/$t.exe || return 1
    done
    echo "$HASH under wine; test_context test_rng test_io test_train"
}
# Debian's clang does not find the libraries of Debian's MinGW by itself.
mingw_clang() {
    libraries=$(dirname "$(x86_64-w64-mingw32-gcc -print-libgcc-file-name)")
    clang --target=x86_64-w64-mingw32 -Wno-unused-command-line-argument -L"$libraries" "$@"
}
windows_clang() {       # it has no fault with wide vectors, and so chooses them by itself
    export WINEDEBUG=-all WINEPREFIX="$PWD/$out/wine"
    THREADS="1 3"
    conformance windows-clang mingw_clang wine -O2 -static
}
# COMPILER: examples and benchmarks without a flag but what Windows needs, the former run under wine
windows_examples() {
    e=$out/windows-$1
    rm -rf $e
    mkdir -p $e
    for f in examples/*.c bench/ablation.c bench/bench.c bench/evaluate.c bench/landscape.c \
        bench/nearest.c bench/sprites.c; do
        $1 -O1 -Wall -Wextra -Werror -Wno-unknown-pragmas -static "$f" -o $e/$(basename "$f" .c).exe -lm ||
            return 1
        # windows.h and its names
        $1 -Wall -Wextra -Werror -Wno-unknown-pragmas -DDRL_THREADS -DDRL_NO_SIMD -fsyntax-only "$f" ||
            return 1
    done
    export WINEDEBUG=-all WINEPREFIX="$PWD/$out/wine"
    run_examples $e wine || return 1
    echo "$(ls examples/*.c | wc -l) examples run under wine, $pictures pictures; 6 benchmarks built"
}
# without FMA: SSE2, and it is said; with FMA but without AVX2: the set of MinGW's gcc, if it is in the build
old_processors() {
    gcc -O2 -static -DDRL__FMA128 tests/conformance.c -o $out/old -lm || return 1
    got=$(qemu-x86_64 -cpu qemu64 $out/old)
    [ "$got" = "$UNFUSED" ] || { echo "without FMA: '$got', not $UNFUSED"; return 1; }
    got=$(qemu-x86_64 -cpu max,-avx2,-avx512f $out/old)
    [ "$got" = "$HASH" ] || { echo "with FMA, without AVX2: '$got', not $HASH"; return 1; }
    echo "no FMA: $UNFUSED; FMA without AVX2: $HASH"
}
# WebAssembly has no fused multiply-add: the portable set's is done in double, and gives the same bits
wasm() {
    export NODE_PATH=/usr/share/nodejs          # where Debian keeps what emcc asks node for
    WASM="-sALLOW_MEMORY_GROWTH=1 -sWASM_ASYNC_COMPILATION=0 -sEXIT_RUNTIME=1"
    emcc -O2 $WASM tests/conformance.c -o $out/conformance.js -lm || return 1
    THREADS="1 3"
    run_conformance "node $out/conformance.js" || return 1
    for t in test_rng test_not_finite; do
        emcc -O1 $WASM tests/$t.c -o $out/$t.js -lm && node $out/$t.js || return 1
    done
    # with simd128, the set of vectors that has the bits of SSE2
    emcc -O2 -msimd128 $WASM tests/conformance.c -o $out/conformance-simd.js -lm || return 1
    run_conformance "node $out/conformance-simd.js" | tee $out/conformance-simd.txt
    grep -q ": portable wasm auto, 6 runs" $out/conformance-simd.txt || return 1
    for t in test_ops test_rng test_not_finite; do
        emcc -O1 -msimd128 $WASM tests/$t.c -o $out/$t-simd.js -lm && node $out/$t-simd.js || return 1
    done
    echo "$HASH in node, $HASH_UNFUSED with simd128; test_ops test_rng test_not_finite"
}
# no operating system: a model in flash, an arena, the same bits as on this machine; and nothing of a heap or
# of files in it
cortex_m() {
    mkdir -p $out/cortex
    counts=
    gcc -O1 -DWRITE_MODEL tests/cortex_m.c -o $out/cortex/write -lm &&
        $out/cortex/write > $out/cortex/model.h || return 1
    for board in mps2-an385 mps2-an386; do
        # thousands of instructions a score; measured are 43401, and 1198 with hardware's multiply-add
        cpu="-mcpu=cortex-m3" most=60000
        [ $board = mps2-an386 ] && cpu="-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16" most=1500
        arm-none-eabi-gcc $cpu -mthumb -O2 -DMOST=$most -ffreestanding -nostartfiles -Wall -Wextra -Werror \
            -I$out/cortex -T examples/device/mps2.ld tests/cortex_m.c -o $out/cortex/$board.elf -lm ||
            return 1
        hosted='_?malloc(_r)?|_?free(_r)?|_?sbrk(_r)?|fopen|fwrite|_?v?s?n?printf(_r)?|abort|__assert_func'
        if arm-none-eabi-nm $out/cortex/$board.elf | grep -E " ($hosted)\$"; then
            echo "these should not be there"
            return 1
        fi
        arm-none-eabi-size $out/cortex/$board.elf
        timeout 300 qemu-system-arm -M $board -nographic -monitor none -serial none -icount shift=0 \
            -semihosting-config enable=on,target=native -kernel $out/cortex/$board.elf \
            > $out/cortex/$board.log 2>&1
        status=$?
        cat $out/cortex/$board.log
        [ $status -eq 0 ] || return 1
        count=$(sed -n 's/^thousands of instructions a score //p' $out/cortex/$board.log)
        counts="$counts $(printf %d 0x$count)"
    done
    echo "Cortex-M3 and M4: the bits of portable C on this machine;$counts thousand instructions a score"
}
# 14_anomaly's model, made C by 13_model_to_c, scores from a microcontroller's flash: of the generated signal,
# and of one from a file
anomaly() {
    dir=$out/anomaly
    mkdir -p $dir
    for f in 13_model_to_c 14_anomaly; do gcc -O2 examples/$f.c -o $dir/$f -lm || return 1; done
    awk 'BEGIN { srand(1); print "volts"
        for (; i < 20000; ++i) print 20 + 3 * sin(p += 0.3 + 0.02 * sin(i / 900)) + 0.2 * rand() }' \
        > $dir/signal.csv
    anomaly_of $dir/file --data $dir/signal.csv && anomaly_of $dir/generated
}
# DIR OPTIONS...
anomaly_of() {
    of=$1
    shift
    mkdir -p $of
    $dir/14_anomaly --out $of/anomaly "$@" > $of/trained || return 1
    cat $of/trained
    areas=$(sed -n 's/^AUROC [a-z]* *//p' $of/trained)
    [ $(echo "$areas" | awk '$1 >= 0.98' | wc -l) -eq 3 ] || { echo "an AUROC is below 0.98"; return 1; }
    $dir/13_model_to_c $of/anomaly.safetensors --out $of/whole &&
        $dir/13_model_to_c $of/anomaly.safetensors --scorer 0 --out $of/anomaly-scorer || return 1
    arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -Os -ffreestanding \
        -nostartfiles -Wall -Wextra -Werror -DMAX_CODE=12000 -DMAX_RAM=2000 -DMAX_INSTRUCTIONS=20000 \
        -I$of -T examples/device/mps2.ld examples/device/scorer.c -o $of/scorer.elf -lm || return 1
    timeout 300 qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none -icount shift=0 \
        -semihosting-config enable=on,target=native -kernel $of/scorer.elf > $of/scored 2>&1
    status=$?
    cat $of/scored
    [ $status -eq 0 ] || return 1
    said() { sed -n "s/^$1 \([0-9]*\)\$/\1/p" $of/scored; }
    [ "$(said scores)" = "$(said "scores with the bits of the computer's")" ] ||
        { echo "scores with other bits than the computer's"; return 1; }
    echo "AUROC" $areas", on a Cortex-M4 the same bits: $(said 'bytes of code') bytes of code," \
        "$(said 'bytes of weights and steps') of weights, $(said 'bytes of memory, the stack included') of" \
        "memory, $(said 'instructions a score') instructions a score"
}
plain_c() {     # a compiler that knows neither vectors nor pragmas
    conformance tcc tcc "" || return 1
    for t in test_rng test_context test_not_finite; do
        tcc tests/$t.c -o $out/$t-tcc -lm && $out/$t-tcc || return 1
    done
    echo "$HASH; test_rng test_context test_not_finite"
}
# The configuration is .clang-tidy. The analyser looks at functions of the main file only, and takes long for
# those of vectors.
tidy() {
    printf '#define DRL_THREADS\n#define DRL_IMPLEMENTATION\n#include "drl.h"\n' > $out/tidy.c
    {
        clang-tidy --quiet $out/tidy.c -- -std=c99 -I. &&
            clang-tidy --quiet drl.h -- -x c -std=c99 -DDRL_THREADS -DDRL_IMPLEMENTATION -DDRL_NO_SIMD -I.
    } > $out/tidy.txt 2> $out/tidy.err
    status=$?
    grep -E 'warning:|error:' $out/tidy.txt
    listed=$(sed -n 's/^Checks: *//p' .clang-tidy | cut -c 1-60)
    echo "$(grep -cE 'warning:|error:' $out/tidy.txt) findings, checks: $listed"
    [ $status -eq 0 ] && ! grep -qE 'warning:|error:' $out/tidy.txt
}
cpp_check() {   # the configuration is tests/cppcheck.txt
    printf '#define DRL_THREADS\n#define DRL_IMPLEMENTATION\n#include "drl.h"\n' > $out/cpp.c
    cppcheck --std=c99 --language=c --enable=warning,performance,portability --inconclusive \
        --error-exitcode=1 --quiet --suppressions-list=tests/cppcheck.txt -I. -D__x86_64__ -D__GNUC__=12 \
        -D__linux__ -D__unix__ $out/cpp.c > $out/cppcheck.txt 2>&1
    status=$?
    cat $out/cppcheck.txt
    echo "$(grep -cE '(warning|error|performance|portability):' $out/cppcheck.txt) findings"
    return $status
}
symbols() {     # what the object asks of others: the lists below and nothing else
    # bcmp is what clang makes of a memcmp of which only "the same or not" is asked, where the system has one.
    c='memchr memcmp bcmp memcpy memmove memset strchr strcmp strlen strncmp strstr strrchr malloc free'
    c="$c __assert_fail __stack_chk_fail __errno_location"
    m='fabs fabsf floor fmaf sqrt sqrtf'
    stdio='fopen fopen64 ferror fread fwrite fflush fclose fseek fseeko fseeko64 ftell ftello ftello64'
    stdio="$stdio remove rename fileno fsync stat stat64 __xstat fstat fstat64 open open64 close getpid"
    stdio="$stdio strerror fdopen access readlink fchmod fchown"
    threads='getpid pthread_create pthread_join'
    for f in init destroy lock unlock; do threads="$threads pthread_mutex_$f"; done
    for f in init destroy wait signal broadcast; do threads="$threads pthread_cond_$f"; done
    for build in "" "-DDRL_THREADS" "-DDRL_NO_STDIO" "-DDRL_NO_STDIO -DDRL_NO_MALLOC -DNDEBUG"; do
    for cc in "gcc -O0" "gcc -O2" "clang -O2"; do
        allowed="_GLOBAL_OFFSET_TABLE_ $c $m"
        case $build in *NO_STDIO*) ;; *) allowed="$allowed $stdio";; esac
        case $build in *THREADS*) allowed="$allowed $threads";; esac
        case $build in
        *NO_MALLOC*) allowed=$(echo " $allowed " | sed 's/ malloc / /; s/ free / /; s/ __assert_fail / /');;
        esac
        printf '#define DRL_IMPLEMENTATION\n#include "drl.h"\n' > $out/symbols.c
        # -fno-pie: constants that hold addresses are constants
        $cc $build -fno-pie -I. -c $out/symbols.c -o $out/symbols.o || return 1
        for s in $(nm -u $out/symbols.o | awk '{ print $2 }' | sed 's/@.*//'); do
            case " $allowed " in *" $s "*) ;; *) echo "$cc $build: $s is asked for"; return 1;; esac
        done
        if nm -g --defined-only $out/symbols.o | awk '{ print $3 }' | grep -v '^drl_[a-z]'; then
            echo "$cc $build: other names than drl_... are defined"
            return 1
        fi
        if nm $out/symbols.o | grep ' [bBdDC] ' | grep -vE ' (__|CSWTCH|switch)'; then
            echo "$cc $build: variables that can change"
            return 1
        fi
        echo "$cc $build: $(nm -u $out/symbols.o | wc -l) symbols of the C library," \
            "$(nm -g --defined-only $out/symbols.o | wc -l) functions"
    done
    done
    return 0
}
# Functions whose names end in _avx2 or _avx512 may hold registers and encodings of AVX, and no others may.
# Those of _fma128 may hold only registers of 16 bytes when gcc makes them: MinGW's gcc may store wider ones
# to places that are aligned to 16, with instructions that need more.
avx_only_where_allowed() {
    printf '#define DRL_THREADS\n#define DRL_IMPLEMENTATION\n#include "drl.h"\n' > $out/avx.c
    for cc in "gcc -O0" "gcc -O2" "gcc -O3" "clang -O0" "clang -O2" \
        "x86_64-w64-mingw32-gcc -O2" "x86_64-w64-mingw32-gcc -O3"; do
        $cc -DDRL__FMA128 -I. -c $out/avx.c -o $out/avx.o || return 1
        objdump -d --no-show-raw-insn $out/avx.o | awk -v cc="$cc" '
            /^[0-9a-f]+ <.*>:$/ {
                f = $2
                gsub(/[<>:]/, "", f)
                base = f
                sub(/\.(part|constprop|isra|cold|lto_priv).*/, "", base)
                sub(/\.[0-9]+$/, "", base)
                narrow = base ~ /_fma128$/
                ok = base ~ /_avx2$/ || base ~ /_avx512$/ || narrow
                functions++
                if (ok) held++
                next
            }
            /^ +[0-9a-f]+:/ { avx = $0 ~ /%[yz]mm|%k[0-7]/ || $2 ~ /^v[a-z]/ && $2 !~ /^ver[rw]$/
                if (narrow && cc !~ /clang/ && $0 ~ /%[yz]mm|%k[0-7]/) { print cc ": " f ": " $0; bad++ }
                if (avx && ok) used++
                if (avx && !ok) { print cc ": " f ": " $0; bad++ } }
            END {
                printf "%s: %d functions, %d may hold AVX, %d such instructions there, %d elsewhere\n",
                    cc, functions, held, used, bad
                exit bad > 0 || used == 0
            }' || return 1
    done
}
lto() {
    two_units -O2 -flto && conformance lto gcc "" -O2 -flto &&
        conformance lto-clang clang "" -O2 -flto=thin -fuse-ld=lld
}
coverage() { sh tests/coverage.sh $out/coverage; }
mutate() { python3 tests/mutate.py --out $out/mutants; }

# NAME COMPILER FLAGS...: what breaks things, and the corpus of hostile files, built so and run
faults() {
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
pytorch() {     # weights of the published code, both ways, and the library from Python
    mkdir -p $out/torch
    gcc -shared -fPIC -O2 -DDRL_THREADS -DDRL_IMPLEMENTATION -x c drl.h -o $out/torch/libdrl.so -lm &&
        $(python_with numpy torch) tests/pytorch.py $out/torch/libdrl.so $out/torch
}
soak() { gcc -O2 tests/soak.c -o $out/soak -lm && $out/soak; }

# Several ranks, by Open MPI, train what one does, also when one of them is stopped and others go on. A rank
# that differs, or is killed, ends all.
mpi() {
    m=$out/mpi
    rm -rf $m
    mkdir -p $m
    mpicc -std=c99 -Wall -Wextra -Werror -Wno-unknown-pragmas -O2 examples/12_mpi.c -o $m/train -lm ||
        return 1
    run="timeout 900 mpirun --allow-run-as-root --oversubscribe"
    train="$m/train --base 8 --initializer 8 --levels 4 --k 2 --batch 8"
    one=$(cd $m && pwd -P)/train
    rates= begun=
    pick() {    # a process of the ranks, once the run has saved its first checkpoint
        while [ ! -f $1 ]; do kill -0 $begun 2>/dev/null || return 1; sleep 0.1; done
        picked=
        for p in /proc/[0-9]*; do
            [ "$(readlink $p/exe)" != "$one" ] || picked=${p#/proc/}
        done
        [ -n "$picked" ]
    }
    for n in 1 2 4; do
        $run -np $n $train --steps 100 --out $m/ranks$n > $m/said 2>&1 || { tail -n 3 $m/said; return 1; }
        cmp $m/ranks1.safetensors $m/ranks$n.safetensors || return 1
        line=$(tail -n 1 $m/said)
        echo "$line"
        rates="$rates $(echo "$line" | sed 's/.*groups: \(.*\) images.*/\1/')"
    done
    $run -np 2 $train --steps 100 --every 10 --out $m/cut > $m/said 2>&1 & begun=$!
    pick $m/cut.checkpoint && kill -INT $picked
    wait $begun && grep 'stopped after' $m/said || { tail -n 3 $m/said; return 1; }
    $run -np 4 $m/train --resume --out $m/cut > $m/said 2>&1 || { tail -n 3 $m/said; return 1; }
    cmp $m/ranks1.safetensors $m/cut.safetensors || return 1
    $run -np 1 $train --out $m/bad : -np 1 $train --seed 2 --out $m/bad > $m/said 2>&1 && return 1
    grep 'ranks 0 and 1 differ' $m/said || { tail -n 3 $m/said; return 1; }
    $run -np 2 $train --steps 100000 --every 10 --out $m/killed > $m/said 2>&1 & begun=$!
    pick $m/killed.checkpoint && kill -KILL $picked
    wait $begun
    status=$?
    [ $status -ne 0 ] && [ $status -ne 124 ] || { echo "a killed rank: status $status"; return 1; }
    echo "1, 2, 4 ranks, and 4 after 2: one model;$rates images/s"
}

# FILE PATTERN LOW HIGH: in the first line of a program's output that has it, the number behind PATTERN
within() {
    got=$(sed -n "s/.*$2 *\([-+0-9.][-+0-9.]*\).*/\1/p" $1 | head -n 1)
    awk -v x="$got" -v low=$3 -v high=$4 'BEGIN { exit !(x != "" && x + 0 >= low && x + 0 <= high) }' ||
        { echo "$(basename $1): '$2' '$got', not $3 to $4"; return 1; }
}
# What the texts of the examples say that they print: it may change in its last digits, and no further.
figures() {
    f=$out/figures shipped=examples/models/sprites.safetensors
    rm -rf $f
    mkdir -p $f
    gcc -O2 -DDRL_THREADS -DDRL_IMPLEMENTATION -x c -c drl.h -o $f/drl.o || return 1
    for p in examples/01_toy2d examples/04_mixture examples/06_tiles examples/07_own_energy \
        examples/08_likelihood examples/09_long_chain examples/10_image_likelihood bench/sprites \
        bench/nearest examples/03_sample; do
        gcc -O2 -DDRL_THREADS -DDRL_LINKED $p.c $f/drl.o -o $f/$(basename $p) -lm || return 1
    done
    $f/01_toy2d --data checkerboard --steps 3000 --out $f/toy > $f/01.txt &&
        within $f/01.txt 'level 0: .* density of the data' -2.55 -2.08 &&
        within $f/01.txt 'level 1: tau' 0.9 1.6 || return 1
    $f/04_mixture > $f/04.txt && within $f/04.txt '  0 ' 0.46 0.54 && within $f/04.txt '  1 ' 0.26 0.34 &&
        within $f/04.txt '  2 ' 0.16 0.24 || return 1
    $f/06_tiles --model $shipped --out $f/tiles > $f/06.txt &&
        within $f/06.txt 'composition:' 14 16 || return 1
    $f/07_own_energy --model $shipped --out $f/own > $f/07.txt &&
        within $f/07.txt 'without it,' 0 0.02 || return 1
    $f/08_likelihood --steps 1500 > $f/08.txt || return 1
    awk '$1 ~ /^[1-5]$/ && $4 == "+-" { ++n; d = $2 - $3; if (d * d > 25 * $5 * $5 + 1e-4) ++far }
        END { if (n != 5 || far) print "log Z of " far + 0 " of " n + 0 " levels is not that of the grid"
              exit n != 5 || far }' $f/08.txt || return 1
    $f/09_long_chain $shipped --steps 100 --count 4 --out $f/long > $f/09.txt || return 1
    awk '$1 == 100 && $4 > 0.5 && $4 <= 1 { ++n } END { if (!n) print "09: acceptance"; exit !n }' \
        $f/09.txt || return 1
    $f/10_image_likelihood --steps 1500 --count 8 --temperatures 60 --images 16 --out $f/bits > $f/10.txt ||
        return 1
    awk '/^bits a dimension/ { n = $4 > 7 && $6 + 0 >= $4 && $6 + 0 < $4 + 0.1 }
        END { if (!n) print "10: bounds"; exit !n }' $f/10.txt &&
        within $f/10.txt 'noise  *-.* AUROC of the images' 0.9 1 || return 1
    $f/sprites $shipped --guidance 2 --again "" > $f/sprites.txt &&
        within $f/sprites.txt 'both' 94 100 && within $f/sprites.txt 'match' 80 100 || return 1
    $f/03_sample $shipped --count 24 --guidance 1 --out $f/draw > $f/03.txt &&
        $f/nearest $f/draw.npy --out $f/nearest > $f/nearest.txt &&
        within $f/nearest.txt 'samples:' 0 0.3 || return 1
    echo "01 04 06 to 10, sprites and nearest: $(sed -n 's/^composition: //p' $f/06.txt | cut -d' ' -f1-3)" \
        "composed, $(head -n 1 $f/nearest.txt)"
}
web() { make --no-print-directory check-web; }

checks() {     # the longest first, so that no lane ends long after the others
check mutations "gcc python3" mutate
check tests-thread-sanitizer gcc tests tests-tsan gcc -O1 -g -fsanitize=thread -DDRL_THREADS
check tests-sanitized gcc tests tests-sanitized gcc -O1 -g -fsanitize=address,undefined \
    -fno-sanitize-recover=all -DDRL_THREADS
check coverage "gcc gcov" coverage
for c in gcc clang; do for s in c99 c11 c17; do check warnings-$c-$s $c header $c c $s; done; done
for c in g++ clang++; do for s in c++11 c++20; do check warnings-$c-$s $c header $c c++ $s; done; done
for o in DRL_STATIC DRL_NO_SIMD DRL_NO_STDIO DRL_NO_MALLOC DRL_THREADS DRL_API DRL_ASSERT DRL_HEADER_NAME; do
    check option-$o "gcc clang" option $o
done
check two-units gcc two_units
check examples-plain cc examples
check symbols "gcc clang nm" symbols
check avx "gcc clang objdump x86_64-w64-mingw32-gcc" avx_only_where_allowed
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
check aarch64 "aarch64-linux-gnu-gcc qemu-aarch64" conformance aarch64 aarch64-linux-gnu-gcc qemu-aarch64 \
    -O2 -static
check neon "aarch64-linux-gnu-gcc qemu-aarch64" neon
check s390x "s390x-linux-gnu-gcc qemu-s390x" emulated s390x s390x-linux-gnu-gcc qemu-s390x "test_rng test_io"
# The C library's cos, which test_rng compares with, has an instruction that qemu-ppc does not know.
check powerpc "powerpc-linux-gnu-gcc qemu-ppc" emulated powerpc powerpc-linux-gnu-gcc qemu-ppc \
    "test_io test_not_finite"
check wasm "emcc node" wasm
check windows "x86_64-w64-mingw32-gcc wine" windows
check windows-clang "clang x86_64-w64-mingw32-gcc wine" windows_clang
check windows-examples-gcc "x86_64-w64-mingw32-gcc wine" windows_examples x86_64-w64-mingw32-gcc
check windows-examples-clang "clang x86_64-w64-mingw32-gcc wine" windows_examples mingw_clang
check old-processors "gcc qemu-x86_64" old_processors
check cortex-m "arm-none-eabi-gcc qemu-system-arm" cortex_m
check anomaly "gcc arm-none-eabi-gcc qemu-system-arm" anomaly
check demo-32 "gcc arm-linux-gnueabihf-gcc qemu-arm emcc node" demo_32
check armhf "arm-linux-gnueabihf-gcc qemu-arm" armhf
check tests-O0 gcc tests tests-O0 gcc -O0 -DDRL_THREADS
check tests-O3-native gcc tests tests-O3-native gcc -O3 -march=native -DDRL_THREADS
# enumerations of a byte, as on bare-metal ARM
check tests-short-enums gcc tests tests-short-enums gcc -O1 -fshort-enums -DDRL_THREADS
check tests-clang clang tests tests-clang clang -O2 -DDRL_THREADS
check tests-c++ g++ tests tests-c++ g++ -x c++ -O1 -DDRL_THREADS
check tests-32 gcc bits32
check faults-sanitized gcc faults faults-sanitized gcc -O1 -g -DDRL_NO_SIMD -fsanitize=address,undefined \
    -fno-sanitize-recover=all
# x87 has digits of its own, and so would not know the states that the corpus keeps.
check faults-32 gcc faults faults-32 gcc -m32 -msse2 -O1 -DDRL_NO_SIMD $X32
check faults-ndebug gcc faults faults-ndebug gcc -O2 -DNDEBUG
check faults-c++ g++ faults faults-c++ g++ -x c++ -O1 -DDRL_NO_SIMD
check kill gcc sh tests/kill.sh 200
check mpi "mpicc mpirun" mpi
check torch "gcc python3:numpy python3:torch" pytorch
check figures gcc figures
check soak gcc soak
check fuzz clang sh tests/fuzz.sh 20
for t in context failure; do
    check valgrind-$t valgrind memory valgrind test_$t "valgrind -q --error-exitcode=9 --leak-check=full" \
        gcc -O1 -g -DDRL_NO_SIMD
done
check msan-ops clang memory msan test_ops "" clang -O1 -g -fsanitize=memory -fno-sanitize-recover=all
check pattern gcc pattern
check refuses gcc refuses
check data-files "gcc gzip" data_files
check matrix gcc matrix
check interrupt gcc interrupts
check readme "gcc git" sh tests/readme.sh $out/readme
check msan-examples clang msan_examples
check msan-train clang memory msan test_train "" clang -O1 -g -fsanitize=memory -fno-sanitize-recover=all
}
alone() {      # what measures times runs by itself, when the lanes have ended
check web "emcc node chromium" web
}
if [ -n "$LIST" ]; then checks; alone; exit 0; fi
if [ -n "$LANE" ]; then checks; exit 0; fi
known=$(LIST=1 sh tests/check-all.sh)
for n in $ONLY $SKIP; do
    echo "$known" | grep -qx -- "$n" || { echo "$n: no such check; there are" $known; exit 2; }
done
[ $# -eq 0 ] || { echo "$1: not understood; ONLY=, SKIP=, LANES= and LIST= are variables"; exit 2; }
[ -n "$LANES" ] || LANES=$(nproc 2>/dev/null || echo 1)
# Only now, after what is refused: refuse.sh calls this script while it runs.
rm -rf $all/claimed
mkdir -p $all/claimed
: > $all/table
for lane in $(seq "$LANES"); do LANE=$lane sh tests/check-all.sh & done
wait
alone

echo
LIST=1 sh tests/check-all.sh | while read -r name; do grep "^$name " $all/table; done |
    awk '{ rest = $0
        for (i = 0; i < 3; ++i) sub(/^[^ ]* ?/, "", rest)
        printf "%-24s %-8s %5s s  %s\n", $1, $2, $3, rest }'
awk '{ if ($2 == "ok") ++p; else if ($2 == "skipped") ++s; else ++f }
    END { print p + 0 " passed, " f + 0 " failed, " s + 0 " skipped"; exit f > 0 || p == 0 }' $all/table
