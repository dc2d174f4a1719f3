#!/bin/sh
# refuse.sh DIR - every program of DIR (examples, benchmarks, tests) is given what it cannot understand: it
# must end at once with a status from 1 to 127 and a sentence. Then the scripts beside this one.
dir=$1
[ $# -eq 1 ] && [ -d "$dir" ] || { echo "refuse.sh DIR: the folder of the programs"; exit 2; }
dir=$(cd "$dir" && pwd)
cd "$(dirname "$0")/.." || exit 1
# check-all.sh, which calls this script, is called by it as by a person
unset LANE LANES LIST ONLY SKIP CHECK_DIR
passed=0 failed=0
refused() {     # COMMAND...
    said=$(timeout 20 "$@" 2>&1 < /dev/null)
    status=$?
    case $said in *"Traceback (most recent call last)"*) said="a traceback, no sentence" status=0;; esac
    if [ $status -gt 0 ] && [ $status -lt 124 ] && [ -n "$said" ]; then passed=$((passed + 1))
    else failed=$((failed + 1)); echo "refuse: FAILED $*: status $status, '$(echo "$said" | head -n 1)'"; fi
}
npy() {         # NAME SHAPE BYTES: an array of that many zeros
    { printf '\223NUMPY\1\0\166\0%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': ($2), }"
      head -c $3 /dev/zero; } > "$dir/$1.npy"
}
sprites=examples/models/sprites.safetensors     # 16 x 16 x 4
npy image "16, 16, 4" 1024
npy images "2, 16, 16, 4" 2048
npy flat "12, 16, 4" 768
npy mask "16, 16" 256
npy low "12, 16" 192
pnm() {         # NAME MAGIC WIDTH HEIGHT BYTES: a picture of black pixels, which has that many bytes
    { printf "$2\n$3 $4\n255\n"; head -c $5 /dev/zero; } > "$dir/$1.pnm"
}
pnm low P5 16 12 192
pnm colour P6 16 16 768
pnm short P5 16 16 255
for p in "$dir"/*; do
    [ -x "$p" ] && [ -f "$p" ] || continue
    name=$(basename "$p")
    case $name in *.*) continue;; esac
    refused "$p" --nonsense
    refused "$p" --nonsense 3
    refused "$p" -x
    refused "$p" no-such-word surplus words
    case $name in
    test_*|kill_train|soak|fuzz|parity) refused "$p" no-such-word;;
    04_mixture) ;;
    *) refused "$p" --isa nonsense
       for n in x 0x -1 1e99; do refused "$p" --threads $n; done;;
    esac
    case $name in
    0*|1*|ablation|landscape|sprites|evaluate)
        refused "$p" --seed; refused "$p" --seed x; refused "$p" --seed 1e12;;
    esac
    case $name in
    02*|06*|10*)
        refused "$p" --shape 3; refused "$p" --shape -1x2; refused "$p" --layout x
        refused "$p" --range 1:0; refused "$p" --labels x
        refused "$p" --tile 3; refused "$p" --tile 0x3; refused "$p" --data no-such-file;;
    esac
    case $name in 01*|02*|06*|07*|11*|12*)
        refused "$p" --steps -1; refused "$p" --batch 0; refused "$p" --k x;;
    esac
    case $name in
    02*|06*|07*|11*)
        refused "$p" --log-every 0
        refused "$p" --steps 1 --base 8 --k 1 --out "$dir/none" --log no-such-folder/log;;
    esac
    case $name in
    bench)
        refused "$p" no-such-layer
        for s in x 8-8-8 8-8-8-b4x 0-8-8-b4 8-8-8-b0 4097-8-8-b4 8-8-1025-b1 512-512-512-b64 08-8-8-b4; do
            refused "$p" --shape $s
        done
        refused "$p" --shape 8-8-8-b4 no-such-pass
        refused "$p" --compare no-such-file
        refused "$p" --compare tests/refuse.sh
        refused "$p" --compare /dev/zero
        refused "$p" --with tests/refuse.sh
        refused "$p" --json --compare tests/refuse.sh;;
    landscape) refused "$p" --form nonsense; refused "$p" --data "rings nonsense";;
    test_ops) refused "$p" portable nonsense;;
    soak) refused "$p" 3;;
    01_toy2d) refused "$p" --form nonsense; refused "$p" --data no-such-file;;
    02*) refused "$p" --cdrl --drl; refused "$p" --classes --no-classes; refused "$p" --balanced;;
    06*) refused "$p" --palette; refused "$p" --names no-such-file;;
    03*)
        refused "$p" $sprites --watch --frames 8
        refused "$p" $sprites --watch --frames 1001
        refused "$p" $sprites --image "$dir/image.npy"
        refused "$p" $sprites --mask "$dir/mask.npy"
        refused "$p" $sprites --again "2 x"
        refused "$p" $sprites --again "2 0"
        refused "$p" $sprites --again 2 --watch
        refused "$p" $sprites --image no-such-file --mask "$dir/mask.npy"
        refused "$p" $sprites --image "$dir/image.npy" --mask no-such-file
        refused "$p" $sprites --image tests/refuse.sh --mask "$dir/mask.npy"
        refused "$p" $sprites --image "$dir/image.npy" --mask tests/refuse.sh
        refused "$p" $sprites --image "$dir/image.npy" --mask /dev/zero
        refused "$p" $sprites --image "$dir/mask.npy" --mask "$dir/mask.npy"        # no channels
        refused "$p" $sprites --image "$dir/image.npy" --mask "$dir/image.npy"      # too many axes
        refused "$p" $sprites --image "$dir/image.npy" --mask "$dir/low.npy"        # 12 rows of 16
        for m in low colour short; do   # 12 rows of 16, three channels, 255 of 256 bytes
            refused "$p" $sprites --image "$dir/image.npy" --mask "$dir/$m.pnm"
        done
        refused "$p" $sprites --image "$dir/images.npy" --mask "$dir/mask.npy"      # two of them
        refused "$p" $sprites --image "$dir/flat.npy" --mask "$dir/mask.npy"        # 12 rows of 16
        refused "$p" $sprites --image "$dir/image.npy" --mask "$dir/mask.npy" --range 1:0;;
    15*) refused "$p" no-such-file; refused "$p" tests/refuse.sh; refused "$p" /dev/zero;;
    12*) refused "$p" --groups 3; refused "$p" --groups x;;
    11*) refused "$p" --levels 1; refused "$p" --levels 1001; refused "$p" --model no-such-file;;
    08_likelihood) refused "$p" --data nonsense;;
    09_long_chain) refused "$p" --kernel nonsense; refused "$p" $sprites --count 0;;
    esac
done
refused env ONLY=no-such-check sh tests/check-all.sh
refused env SKIP=no-such-check sh tests/check-all.sh
refused sh tests/check-all.sh surplus
refused sh tests/fuzz.sh nonsense
refused sh tests/fuzz.sh 1 1 no-such-reader
refused python3 tests/mutate.py --nonsense
refused python3 tests/mutate.py --only no_such_function
refused sh tests/coverage.sh --nonsense
refused sh tests/kill.sh nonsense
refused sh tests/kernels.sh no-such-file
refused sh tests/readme.sh --nonsense
refused sh tests/refuse.sh
refused sh tests/install.sh --nonsense
refused sh tests/equations.sh --nonsense

# Scripts of Python. Without PyTorch they say so: a sentence, and nothing more to refuse.
weights=examples/torch_weights.py
: > "$dir/empty.pth.tar"
printf 'PK\3\4' > "$dir/short.pth.tar"
head -c 5000 $sprites > "$dir/short.safetensors"
mkdir -p "$dir/folder.safetensors"
python=/usr/bin/python3
[ -x $python ] || python=python3
if $python -c 'import numpy, torch' 2> /dev/null; then
    refused $python $weights
    refused $python $weights --nonsense
    refused $python $weights $sprites
    refused $python $weights $sprites $sprites
    refused $python $weights $sprites "$dir/a.pth.tar" surplus
    refused $python $weights $sprites "$dir/a.pth.tar" --raw
    refused $python $weights $sprites "$dir/a.pth.tar"                  # its initializer is too narrow
    for o in "--im_sz x" "--im_sz 3" --im_sz "--n_interval 1e9" "--ebm_act relu"; do
        refused $python $weights "$dir/empty.pth.tar" "$dir/a.safetensors" $o
    done
    for f in no-such-file "$dir" tests/refuse.sh /dev/zero "$dir/empty.pth.tar" "$dir/short.pth.tar"; do
        refused $python $weights "$f" "$dir/a.safetensors"
        refused $python $weights "$f" "$dir/a.safetensors" --trust
    done
    for f in no-such-file "$dir/folder" "$dir/short"; do
        refused $python $weights "$f.safetensors" "$dir/a.pth.tar"
    done
    refused $python tests/pytorch.py --nonsense
    refused $python tests/pytorch.py no-such-file
    refused $python tests/pytorch.py tests/refuse.sh
    refused $python tests/pytorch.py tests/refuse.sh no-such-folder
    refused $python tests/pytorch.py tests/refuse.sh build surplus
    [ ! -e "$dir/a.safetensors" ] && [ ! -e "$dir/a.pth.tar" ] ||
        { failed=$((failed + 1)); echo "refuse: FAILED $weights has written something"; }
else
    echo "refuse: skipped, no numpy and PyTorch for $python: $weights, tests/pytorch.py"
    refused $python $weights $sprites "$dir/a.pth.tar"
fi
[ ! -f bench/peers.py ] || refused python3 bench/peers.py --nonsense
echo "refuse: $passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
