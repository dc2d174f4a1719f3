#!/bin/sh
# What Ctrl-C leaves: interrupt.sh DIR, where DIR holds the examples and benchmarks, built. Each program here
# runs until its first picture (or line) is there, which may take 20 seconds of its own time. It then gets
# SIGINT, has to end by itself within 20 seconds with status 0, and what it saved has to be usable. A resumed
# run ends with the bits of a run that was not interrupted.
[ $# = 1 ] && [ -d "$1" ] || { echo "interrupt.sh DIR: examples and benchmarks, built" >&2; exit 2; }
dir=$1 passed=0 failed=0
good() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED $*"; [ -f $dir/int.log ] && tail -n 5 $dir/int.log; }

# seconds of processor time of process $1
spent() { awk '{ print int(($14 + $15) / 100) }' /proc/$1/stat 2>/dev/null || echo 0; }
# interrupt WHAT-APPEARS PROGRAM ARGUMENTS...: a file of this name, or "line TEXT" in what it prints
interrupt() {
    sign=$1 program=$2
    shift 2
    case $sign in line*) ;; *) rm -f "$sign".png "$sign".ppm;; esac
    "$dir/$program" "$@" > $dir/int.log 2>&1 &
    pid=$!
    while kill -0 $pid 2>/dev/null; do
        case $sign in
            line*) grep -q "${sign#line }" $dir/int.log && break;;
            *) [ -s "$sign.png" ] || [ -s "$sign.ppm" ] && break;;
        esac
        if [ "$(spent $pid)" -gt 20 ]; then
            bad "$program: nothing to see after 20 seconds"
            kill -9 $pid
            wait $pid 2>/dev/null
            return 1
        fi
        sleep 0.2
    done
    sleep 0.5
    if ! kill -INT $pid 2>/dev/null; then
        wait $pid
        bad "$program $*: over before it could be interrupted, status $?"
        return 1
    fi
    i=0
    while kill -0 $pid 2>/dev/null && [ $i -lt 100 ]; do sleep 0.2; i=$((i + 1)); done
    kill -9 $pid 2>/dev/null && { bad "$program: does not end"; return 1; }
    wait $pid
    status=$?
    if [ $status != 0 ] || ! grep -q "stopped" $dir/int.log; then
        bad "$program $*: status $status, or no word of being stopped"
        return 1
    fi
    good
}
run() { "$dir/$@" > $dir/int.log 2>&1 && good || bad "$*"; }
draws() { run 03_sample "$1" --count 2 --k 2 --out $dir/int-drawn; }
same() { cmp "$1" "$2" && good || bad "$1 and $2 differ"; }

small="--base 8 --batch 4 --k 2 --lr 1e-7 --warmup 20"
# A small learning rate: networks of this size soon diverge. The rate is constant from the warm-up, of 20
# steps whatever the run's length, to the middle of a run, so one that was stopped on the way to 100000 steps
# and is then asked for twice as many as it has, and 20 more, is the same as one that was asked for these from
# the start.
total() { echo $((2 * $(sed -n "s/.*stopped after \([0-9]*\) steps.*/\1/p" $dir/int.log | tail -n 1) + 20)); }
interrupt $dir/int-a 02_train_images $small --levels 4 --steps 100000 --out $dir/int-a && n=$(total) &&
    draws $dir/int-a.safetensors &&
        run 02_train_images $small --levels 4 --steps $n --resume --out $dir/int-a &&
    run 02_train_images $small --levels 4 --steps $n --out $dir/int-b &&
    same $dir/int-a.safetensors $dir/int-b.safetensors
interrupt $dir/int-d-guidance 06_tiles $small --size 16 --steps 100000 --out $dir/int-d && n=$(total) &&
    draws $dir/int-d.safetensors && run 06_tiles $small --size 16 --steps $n --resume --out $dir/int-d &&
    run 06_tiles $small --size 16 --steps $n --out $dir/int-e &&
    same $dir/int-d.safetensors $dir/int-e.safetensors
# while the last pictures are drawn
interrupt $dir/int-f-guidance 06_tiles --model $dir/int-e.safetensors --size 16 --out $dir/int-f
cp $dir/int-b.safetensors $dir/int-g.safetensors
interrupt $dir/int-g 09_long_chain $dir/int-b.safetensors --steps 1000000 --count 4 --out $dir/int-g &&
    n=$(sed -n 's/.*stopped after \([0-9]*\) of .*/\1/p' $dir/int.log) && n=$((n + 500)) &&
    run 09_long_chain --steps $n --count 4 --resume --out $dir/int-g &&
    run 09_long_chain $dir/int-b.safetensors --steps $n --count 4 --out $dir/int-h &&
    same $dir/int-g.chains $dir/int-h.chains
interrupt $dir/int-k 09_long_chain --minutes 5 --out $dir/int-k && draws $dir/int-k.safetensors
interrupt $dir/int-l 07_own_energy --minutes 5 --out $dir/int-l && draws $dir/int-l.safetensors
own="--base 8 --batch 4 --levels 4 --lr 1e-7 --warmup 20"
interrupt $dir/int-t 11_own_network $own --steps 100000 --out $dir/int-t && n=$(total) &&
    run 11_own_network $own --steps $n --resume --out $dir/int-t &&
    run 11_own_network $own --steps $n --out $dir/int-u &&
    same $dir/int-t.safetensors $dir/int-u.safetensors
interrupt $dir/int-m 10_image_likelihood --minutes 5 --out $dir/int-m
interrupt $dir/int-n-rings 01_toy2d --data rings --steps 100000 --out $dir/int-n
# samples that take long: shown while they grow, saved in the middle of a chain and of a group
interrupt $dir/int-p 03_sample $dir/int-b.safetensors --k 3000 --count 40 --out $dir/int-p &&
    mv $dir/int-p.sampler $dir/int-q.sampler &&
    run 03_sample $dir/int-b.safetensors --k 3000 --count 40 --resume --out $dir/int-q &&
    run 03_sample $dir/int-b.safetensors --k 3000 --count 40 --out $dir/int-r &&
        same $dir/int-q.npy $dir/int-r.npy
interrupt "line forward" 08_likelihood --steps 20 --temperatures 20000
interrupt "line chains of" 10_image_likelihood $dir/int-m.safetensors --temperatures 20000 --out $dir/int-s
interrupt "line GFLOP" bench --isa portable --all
interrupt "line steps" soak 100000 100
interrupt "line KL grid" ablation --seeds 2 --steps 100000
interrupt "line step" landscape --seeds 1 --steps 100000
echo "interrupt: $passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
