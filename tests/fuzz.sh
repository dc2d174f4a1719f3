#!/bin/sh
# tests/fuzz.sh [SECONDS [ROUNDS [MODE ...]]]: libFuzzer with AddressSanitizer and UBSan on every reader in
# turn, SECONDS for each mode and round. The corpus grows in build/fuzz/MODE; crashing files appear as
# build/fuzz/MODE-crash-*. Prints and adds up executions and seconds (build/fuzz/log, one line a run). Files
# worth keeping go to tests/corpus/MODE/.
cd "$(dirname "$0")/.." || exit 1
seconds=${1:-60} rounds=${2:-1}
readers="safetensors model checkpoint npy idx cifar state chains images vectors"
[ $# -gt 2 ] && shift 2 && modes="$*" || modes=$readers
for word in "$seconds" "$rounds"; do
    case $word in
    ''|*[!0-9]*|0)
        echo "$word: not understood; fuzz.sh [SECONDS [ROUNDS [MODE ...]]]"
        exit 2;;
    esac
done
for mode in $modes; do
    case " $readers " in
    *" $mode "*) ;;
    *) echo "$mode: no such reader; there are $readers"; exit 2;;
    esac
done
out=build/fuzz
mkdir -p $out
# Optimised, and without the sets of instructions, which the readers do not use: the fuzzer looks through the
# counters of every branch after every file. Four times as many safetensors files a second, and more with the
# slower modes.
if [ ! -x $out/replay ] || [ -n "$(find drl.h tests/fuzz.c tests/fuzz.sh -newer $out/replay)" ]; then
    clang -g -O2 -DDRL_NO_SIMD -DFUZZ -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
        tests/fuzz.c -o $out/fuzz -lm || exit 1
    cc -O1 -DDRL_NO_SIMD tests/fuzz.c -o $out/replay -lm && $out/replay --seeds $out || exit 1
fi
failed=0
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    for mode in $modes; do
        mkdir -p $out/$mode
        kept=tests/corpus/$mode
        [ -d $kept ] || kept=
        timeout $((seconds * 2 + 60)) $out/fuzz --mode=$mode -max_total_time="$seconds" -max_len=40000 \
            -timeout=120 -rss_limit_mb=1024 -artifact_prefix=$out/$mode- -print_final_stats=1 \
            $out/$mode $kept > $out/$mode.log 2>&1
        status=$?
        runs=$(awk '/stat::number_of_executed_units/ { print $2 }' $out/$mode.log)
        took=$(awk '/^Done/ { print $(NF-1) }' $out/$mode.log)
        echo "$mode ${runs:-0} executions ${took:-$seconds} seconds status $status" | tee -a $out/log
        if [ $status -ne 0 ]; then
            failed=$((failed + 1))
            grep -m 3 'FAILED\|ERROR\|runtime error' $out/$mode.log
        fi
    done
done
awk '{ n += $2; s += $4 }
    END { printf "%d executions in %.2f hours, all runs so far\n", n, s / 3600 }' $out/log
[ $failed -eq 0 ]
