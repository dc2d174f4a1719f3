#!/bin/sh
# counts.sh [drl.h] - how large the house is, in numbers that changes are compared by. Run from the repository root; to count an older state:
#     git show COMMIT:drl.h > build/old.h && sh tests/counts.sh build/old.h
# (examples and benchmarks are those of the working tree). OPERATOR=AVGPOOL names the operator whose places are counted.
file=${1:-drl.h}
operator=${OPERATOR:-AVGPOOL}

# Public functions: the names of all declarations before the implementation.
public() { sed -n '/^#ifndef DRL_H/,/^#ifdef DRL_IMPLEMENTATION/p' "$file" | sed -n 's/^DRL_API.*[ *]\(drl_[a-z0-9_]*\)(.*/\1/p' | sort -u; }
users() { cat examples/*.c examples/*.h bench/*.c; }

echo "lines                                   `wc -l < "$file"`"
echo "lines over 110 columns                  `awk 'length($0) > 110' "$file" | wc -l`"
echo "public functions                        `public | wc -l`"
users > build/counts.users 2>/dev/null || { mkdir -p build; users > build/counts.users; }
echo "  used by no example and no benchmark   `public | while read -r f; do grep -q "$f *(" build/counts.users || echo "$f"; done | wc -l`"

# A function begins after a line that starts in the first column and ends where "}" stands there; its lines are those between the braces.
awk '
    /^[a-zA-Z].*\(/ { head = $0; sub(/\(drl_status, |\(drl_value, |\(float, |DRL__CALL_VOID\(/, " ", head)
                      if (match(head, /drl_[a-z0-9_]+/)) name = substr(head, RSTART, RLENGTH)
                      while (match(head, /drl_[a-z0-9_]+ *[(,)]/)) { name = substr(head, RSTART, RLENGTH - 1); break } }
    /^\{/ { from = NR }
    /^\}/ && from { print NR - from - 1, name; from = 0 }' "$file" | sort -rn > build/counts.functions
echo "functions                               `wc -l < build/counts.functions`"
echo "  over 50 lines                         `awk '$1 > 50' build/counts.functions | wc -l`"
echo "  longest                               `head -n 5 build/counts.functions | awk '{ printf "%s%s %s", (NR > 1 ? ", " : ""), $2, $1 }'`"

# Places: groups of lines that name the operator, no further than 20 lines from one another.
name=`echo "$operator" | tr A-Z a-z`
grep -inE "$name" "$file" | awk -F: -v name="$operator" '
    { if (!n || $1 - last > 20) { ++n; at = at (n > 1 ? ", " : "") $1 } last = $1; ++lines }
    END { printf "places of %-30s%d (%d lines; from lines %s)\n", name, n, lines, at }'

# Training loops: programs and headers that call drl_trainer_step themselves.
loops=`grep -l 'drl_trainer_step *(' examples/*.c examples/*.h bench/*.c`
echo "programs that call drl_trainer_step     `echo $loops | wc -w` (`echo $loops`)"
echo "switch statements                       `grep -c '^ *switch (' "$file"`"
