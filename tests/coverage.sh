#!/bin/sh
# coverage.sh [FOLDER] - lines and branches of drl.h that the tests reach, run by `make coverage`. The
# programs are built without vectors, so that each kernel counts once and not once for every instruction set;
# the choice of a set comes from one build with them. Prints a table by section and every line that was not
# reached; fails if such a line, after the name of its function, is not in tests/COVERAGE.md, which says why.
cd "$(dirname "$0")/.." || exit 1
case $1 in -*) echo "$1: not understood; coverage.sh [FOLDER]"; exit 2;; esac
[ $# -le 1 ] || { echo "$2: not understood; coverage.sh [FOLDER]"; exit 2; }
root=$PWD
out=$root/${1:-build/coverage}
CC=${CC:-gcc}
GCOV=${GCOV:-gcov}
rm -rf $out
mkdir -p $out
: > $out/all.gcov
one() {         # NAME FLAGS...
    program=$1
    shift
    mkdir -p $out/$program.d
    source=$root/tests/${program%-*}.c
    # threads count without losing any
    (cd $out/$program.d &&
        $CC -O0 -g0 --coverage -fprofile-update=atomic "$@" "$source" -o $program -lm) || exit 1
    $out/$program.d/$program > $out/$program.log 2>&1 || {
        tail -n 5 $out/$program.log
        echo "$program failed"
        exit 1
    }
    (cd $out/$program.d && $GCOV -b -c *.gcda > gcov.log 2>&1)
    { echo "PROGRAM $program"; cat $out/$program.d/drl.h.gcov; } >> $out/all.gcov
    echo "$program: $(tail -n 1 $out/$program.log)"
}
for t in tests/test_*.c; do t=${t#tests/}; one ${t%.c}-portable -DDRL_NO_SIMD -DDRL_THREADS; done
one conformance-portable -DDRL_NO_SIMD
one test_context-sets -DDRL_THREADS

awk -v list=$out/not-reached.txt '
function row(name, n, some, branches, taken) {
    printf "%-22s %7d %7d %7.2f%%   %8d %8d %7.2f%%\n", name, n, some, 100 * some / n,
        branches, taken, branches ? 100 * taken / branches : 100
}
/^PROGRAM / { sets = $2 ~ /-sets$/; skip = 0; next }
/^-----/ || /^[A-Za-z_0-9]+:$/ { next }
/^ *[-#=0-9][-#=0-9*]*: *[0-9]+:/ {
    split($0, f, ":"); count = f[1]; gsub(/ /, "", count); n = f[2] + 0
    text[n] = substr($0, length(f[1]) + length(f[2]) + 3)
    if (n > last) last = n
    if (text[n] ~ /^#else \/\* DRL__PASS \*\/$/) simd = n
    at = n; b = 0
    use = count != "-"
    if (sets && ((n in code) || (simd && n >= simd))) use = 0
    if (use) { if (!sets) code[n] = 1; else only[n] = 1; gsub(/[*]/, "", count); hits[n] += count + 0 }
    next
}
/^branch +[0-9]+ / && use {
    exists[at, ++b] = 1
    if (b > most[at]) most[at] = b
    if ($3 == "taken") taken[at, b] += $4
}
END {
    section = "[config]"
    for (n = 1; n <= last; ++n) {
        if (text[n] ~ /^ \* \[[a-z.]+\]/) { split(text[n], w, /[][]/); section = "[" w[2] "]" }
        if (text[n] ~ /^[a-zA-Z].*\(/) {
            head = text[n]
            sub(/^DRL__CALL(_VOID)?\(([a-z_]+[ *]*, *)?/, "", head)
            if (match(head, /[a-z][a-zA-Z0-9_]*[(,]/)) name = substr(head, RSTART, RLENGTH - 1)
        }
        if (!((n in code) || (n in only))) continue
        if (!(section in seen)) { seen[section] = 1; order[++sections] = section }
        ++lines[section]; ++all
        if (hits[n] > 0) {
            ++reached[section]
            ++all_reached
        } else {
            t = text[n]
            sub(/^ +/, "", t)
            if (t != "}") print n ": " name ": " t > list
        }
        for (b = 1; b <= most[n]; ++b) {
            ++branches[section]
            ++all_b
            if (taken[n, b] > 0) { ++gone[section]; ++all_gone }
        }
    }
    printf "%-22s %7s %7s %8s   %8s %8s %8s\n", "section", "lines", "reached", "", "branches", "taken", ""
    for (i = 1; i <= sections; ++i) { s = order[i]
        row(s, lines[s], reached[s], branches[s], gone[s]) }
    row("all", all, all_reached, all_b, all_gone)
    printf "" >> list
}' $out/all.gcov | tee $out/table

unknown=0
while IFS= read -r entry; do
    if ! grep -qxF -- "    ${entry#*: }" tests/COVERAGE.md 2>/dev/null; then
        echo "drl.h:$entry"
        unknown=$((unknown + 1))
    fi
done < $out/not-reached.txt
counts=$(tail -n 1 $out/table | awk '{ print $3 " of " $2 " lines, " $6 " of " $5 " branches" }')
echo "coverage: $counts; $(wc -l < $out/not-reached.txt) not reached, $unknown without a reason"
[ $unknown -eq 0 ]
