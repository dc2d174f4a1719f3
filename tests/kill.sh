#!/bin/sh
# tests/kill.sh [KILLS [PROGRAM]]: kill -9 at random moments of a training run with checkpoints
# (tests/kill_train.c), again and again. Whenever it was killed, both checkpoints that are there load (or are
# not there yet), the run goes on from the newer one, never from less than it had saved before, and a run that
# was killed KILLS times (200) ends with the bits of one that was not.
cd "$(dirname "$0")/.." || exit 1
kills=${1:-200}
case $kills in *[!0-9]*|0) echo "$kills: not understood; kill.sh [KILLS [PROGRAM]]"; exit 2;; esac
out=build/kill
program=${2:-$out/kill_train}
rm -rf $out/a $out/b
mkdir -p $out
[ -n "$2" ] || cc -O2 tests/kill_train.c -o $out/kill_train -lm || exit 1
every=4
passed=0 failed=0
fail() { echo "kill: FAILED $*"; failed=$((failed + 1)); }
steps=$((kills * 100))

# a round is a run of $steps steps, cut into pieces by kills; the first is not cut
rm -rf $out/whole $out/cut
mkdir -p $out/whole $out/cut
start=$(date +%s%N)
want=$($program $out/whole $steps $every 2>/dev/null) || { echo "the uninterrupted run: $want"; exit 1; }
took=$((($(date +%s%N) - start) / 1000000))              # milliseconds
seed=$$
killed=0 rounds=0 saved=0
while [ $killed -lt "$kills" ]; do
    # a pause up to twice a kill's share of the uninterrupted run: as many kills as wanted, at moments that
    # have nothing to do with the steps
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    pause=$((seed / 65536 % (2 * took / kills + 3)))
    $program $out/cut $steps $every > $out/said 2> $out/from &
    pid=$!
    sleep "$(printf '%d.%03d' $((pause / 1000)) $((pause % 1000)))"
    if kill -9 $pid 2>/dev/null; then
        wait $pid 2>/dev/null
        status=$?
    else
        wait $pid
        status=$?
    fi
    if [ $status -eq 137 ]; then killed=$((killed + 1))
    elif [ $status -eq 0 ]; then                            # it was done before: a new round
        rounds=$((rounds + 1))
        if [ "$(cat $out/said)" = "$want" ]; then passed=$((passed + 1))
        else fail "round $rounds: $(cat $out/said), not $want"; fi
        rm -rf $out/cut; mkdir -p $out/cut; saved=0
        continue
    else fail "after $killed kills: status $status, $(cat $out/said)"; break; fi
    from=$(head -n 1 $out/from)
    [ -n "$from" ] || continue                              # killed before it had read its checkpoints
    if [ "$from" -ge $saved ]; then
        passed=$((passed + 1))
        saved=$from
    else
        fail "resumed at step $from, and had been at $saved"
    fi
done
got=$($program $out/cut $steps $every 2> /dev/null)
if [ "$got" = "$want" ]; then passed=$((passed + 1)); else fail "the end: $got, not $want"; fi
left=$(ls -A $out/cut | grep -c tmp)
echo "killed $killed times, $rounds rounds ended in between; one uninterrupted run: $took ms, $want;" \
    "$left temporary files of killed runs"
rm -rf $out/cut $out/whole
echo "kill: $passed passed, $failed failed"
[ $failed -eq 0 ]
