#!/bin/sh
# counts.sh [drl.h] - how large the house is, in numbers that changes are compared by. Run from the repository
# root. To count an older state of the library:
#     git show COMMIT:drl.h > build/old.h && sh tests/counts.sh build/old.h
# Examples, benchmarks and tests are those of the working tree. OPERATOR=AVGPOOL names the operator whose
# places are counted; COMPILE=0 leaves out the compile times, which take half a minute.
file=${1:-drl.h}
operator=$(echo "${OPERATOR:-AVGPOOL}" | tr A-Z a-z)
[ -f "$file" ] && [ $# -le 1 ] || { echo "counts.sh [drl.h]"; exit 2; }
mkdir -p build

line() { printf '%-40s%s\n' "$1" "$2"; }

# The names of all functions that are declared before the implementation.
public() {
    sed -n '/^#ifndef DRL_H/,/^#ifdef DRL_IMPLEMENTATION/p' "$file" |
        sed -n 's/^DRL_API.*[ *]\(drl_[a-z][a-z0-9_]*\)(.*/\1/p' | sort -u
}
# FILES: "LINES NAME" for every function, the longest first. A function begins after a line that starts in the
# first column and ends where "}" stands there; its lines are those between the braces.
functions() {
    awk '
    FNR == 1 { from = 0 }
    /^[a-zA-Z].*\(/ {
        head = $0
        sub(/^DRL__CALL(_VOID)?\(([a-z_]+[ *]*, *)?/, "", head)
        if (match(head, /[a-z][a-zA-Z0-9_]*\)?[(,]/)) name = substr(head, RSTART, RLENGTH - 1)
    }
    /^\{/ { from = FNR }
    /^\}/ && from { print FNR - from - 1, name; from = 0 }' "$@" | sort -rn
}
longest() { awk 'NR <= 5 { printf "%s%s %s", (NR > 1 ? ", " : ""), $2, $1 }' "$1"; }
wide() { cat "$@" | awk 'length($0) > 110' | wc -l; }
# COMPILER ARGUMENTS: processor seconds
seconds() { { time -p "$@"; } 2>&1 | awk '$1 == "user" { print $2 }'; }

line "lines" "$(wc -l < "$file")"
line "lines over 110 columns" "$(wide "$file")"
line "  of examples and benchmarks" "$(wide examples/*.[ch]) and $(wide bench/*.[ch] bench/*.py)"
line "  of tests and the Makefile" "$(wide tests/*.[ch] tests/*.sh tests/*.py) and $(wide Makefile)"

cat examples/*.[ch] examples/*.py examples/*/*.[ch] bench/*.[ch] > build/counts.users 2> /dev/null
line "public functions" "$(public | wc -l)"
unused=$(public | while read -r f; do grep -q "$f *(" build/counts.users || echo "$f"; done)
line "  used by no example and no benchmark" "$(echo "$unused" | grep -c .) ($(echo $unused))"

functions "$file" > build/counts.functions
line "functions" "$(wc -l < build/counts.functions)"
line "  over 50 lines" "$(awk '$1 > 50' build/counts.functions | wc -l)"
line "  longest" "$(longest build/counts.functions)"
functions tests/*.c > build/counts.tests
line "functions of tests over 100 lines" "$(awk '$1 > 100' build/counts.tests | wc -l)"
line "  longest" "$(longest build/counts.tests)"

# Places: groups of lines that name the operator, no further than 20 lines from one another.
grep -inE "$operator" "$file" | awk -F: -v name="$operator" '
    {
        if (!n || $1 - last > 20) { ++n; at = at (n > 1 ? ", " : "") $1 }
        last = $1
    }
    END { printf "%-40s%d (%d lines; from lines %s)\n", "places of " name, n, NR, at }'

# Training loops: programs and headers that call drl_trainer_step themselves.
loops=$(grep -l 'drl_trainer_step *(' examples/*.c examples/*.h bench/*.c)
line "programs that call drl_trainer_step" "$(echo $loops | wc -w) ($(echo $loops))"
line "switch statements" "$(grep -c '^ *switch (' "$file")"

if [ "$COMPILE" != 0 ]; then
    cp "$file" build/drl_counted.h
    cc="${CC:-cc} -w -DDRL_IMPLEMENTATION -DDRL_HEADER_NAME=\"drl_counted.h\" -x c -c build/drl_counted.h"
    line "seconds to compile, -O2" "$(seconds $cc -O2 -o build/counted.o)"
    line "  -O2 -DDRL_NO_SIMD" "$(seconds $cc -O2 -DDRL_NO_SIMD -o build/counted.o)"
    rm build/drl_counted.h build/counted.o
fi
