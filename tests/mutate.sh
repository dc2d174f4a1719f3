#!/bin/sh
# mutate.sh [FOLDER] - shows that the tests see every fault that tests/mutations.txt describes, in every instruction set of this machine. All of
# them go into one copy of drl.h, asleep; the environment wakes one of them in one set. So every test program is built once. Prints
# "mutation, set, test, red or ALIVE" and the counts; fails if one stays alive. ONLY=text: mutations whose names contain it. TEXTS=1: only
# looks for their texts in drl.h.
cd "$(dirname "$0")/.." || exit 1
case $1 in -*) echo "$1: not understood; mutate.sh [FOLDER], ONLY=text, TEXTS=1"; exit 2;; esac
[ $# -le 1 ] || { echo "$2: not understood; mutate.sh [FOLDER], ONLY=text, TEXTS=1"; exit 2; }
if [ -n "$ONLY" ] && ! sed -n 's/^= \([^|]*\).*/\1/p' tests/mutations.txt | grep -qF -- "$ONLY"; then
    echo "ONLY=$ONLY: no mutation has this in its name; there are"
    sed -n 's/^= \([^|]*\).*/  \1/p' tests/mutations.txt
    exit 2
fi
out=${1:-build/mutants}
mkdir -p $out/tests $out/runs
cp tests/*.h tests/test_ops.c tests/test_rng.c tests/test_net.c tests/test_mcmc.c $out/tests/ || exit 1
CC=${CC:-gcc}
CFLAGS=${CFLAGS:--O1}

cat > $out/mutant.h <<'END'
#include <stdlib.h>
static int drl__mutant;         /* 8 * number + set */
static int drl__mutated(int number) { return drl__mutant / 8 == number; }
__attribute__((constructor)) static void drl__mutant_wake(void)
{
    const char *number = getenv("MUTANT"), *set = getenv("MUTANT_SET");
    drl__mutant = (number ? atoi(number) : 0) * 8 + (set ? atoi(set) : 0);
    (void)drl__mutated;
}
END

# The copy of drl.h with all faults, and a list "number|name|program part|sets".
awk -v list=$out/list '
FNR == 1 { file++ }
file == 1 && /^= / { n++; split(substr($0, 3), f, / *\| */); name[n] = f[1]; test[n] = f[2]; sets[n] = f[3] }
file == 1 && /^@ / { anchor[n] = substr($0, 3) }
file == 1 && /^- / { from[n] = substr($0, 3) }
file == 1 && /^\+ / { to[n] = substr($0, 3) }
file == 2 { line[++lines] = $0 }
END {
    printf "" > list
    for (i = 1; i <= n; ++i) {
        m = sets[i] == "any" ? "(drl__mutant == " 8 * i ")" : "(drl__mutant == " 8 * i " + (int)DRL__ISA_ID)"
        while ((p = index(to[i], "drl__mutated(NUMBER)"))) to[i] = substr(to[i], 1, p - 1) "drl__mutated(" i ")" substr(to[i], p + 20)
        gsub(/MUTANT/, m, to[i])
        begin = 0
        for (l = 1; l <= lines && !begin; ++l) if (index(line[l], anchor[i])) begin = l
        done = 0
        if (begin) for (l = begin; l <= lines && l < begin + 130 && !done; ++l) if ((p = index(line[l], from[i]))) {
            line[l] = substr(line[l], 1, p - 1) to[i] substr(line[l], p + length(from[i]))
            done = 1
        }
        if (!done) { print "mutations.txt: \"" name[i] "\": the text is not in drl.h" > "/dev/stderr"; bad = 1 }
        print i "|" name[i] "|" test[i] "|" sets[i] >> list
    }
    for (l = 1; l <= lines; ++l) print line[l]
    exit bad
}' tests/mutations.txt drl.h > $out/drl.h || exit 1
[ -z "$TEXTS" ] || { echo "mutations, texts in drl.h: $(grep -c . $out/list) passed, 0 failed"; exit 0; }

for t in test_ops test_rng test_net test_mcmc; do
    $CC $CFLAGS "-DCHECK_STOP=exit(1)" -include $out/mutant.h $out/tests/$t.c -o $out/$t -lm || exit 1
done
here=""
for set in portable:1 sse2:2 avx2:4 avx512:5 neon:6; do            # the numbers of drl_isa; 3, FMA128, is in builds by MinGW's gcc
    MUTANT=0 $out/test_ops ${set%:*} norm 2>&1 | grep -q "^test_ops: ${set%:*}" && here="$here ${set%:*}"
done
echo "sets of this machine:$here"
for t in test_ops test_rng test_net test_mcmc; do MUTANT=0 $out/$t > $out/runs/$t.sound 2>&1 || { tail -n 5 $out/runs/$t.sound; echo "$t fails with nothing broken"; exit 1; }; done

number_of() { case $1 in portable) echo 1;; sse2) echo 2;; avx2) echo 4;; avx512) echo 5;; neon) echo 6;; *) echo 0;; esac; }
red=0 alive=0
while IFS='|' read -r number name test sets; do
    case "$name" in *"$ONLY"*) ;; *) continue;; esac
    program=${test%% *} part=${test#* }
    [ "$part" = "$test" ] && part=""
    [ "$sets" = every ] && sets=$here
    for set in $sets; do
        case " $here any " in *" $set "*) ;; *) continue;; esac
        # the set alone, so that it is the check against double that goes red and not only the comparison with portable C
        result=ALIVE
        first=$set
        [ $set = any ] && first=portable
        [ $program = test_ops ] || first=
        MUTANT=$number MUTANT_SET=$(number_of $set) timeout 300 $out/$program $first $part > $out/runs/one 2>&1 || result=red
        [ $result = red ] && red=$((red + 1)) || alive=$((alive + 1))
        printf '%-60s %-9s %-9s %s\n' "$name" "$set" "$program" "$result"
    done
done < $out/list
echo "mutations: $red red, $alive ALIVE, of $(wc -l < $out/list) texts"
[ $alive -eq 0 ] && [ $red -gt 0 ]
