#!/bin/sh
# equations.sh - does examples/README.md still point at lines that are there? In its tables, the last cell of
# a row is code between backquotes, and the cell before it names the function that has this code: a function
# of drl.h, or FILE FUNCTION. Checked is that
#   - the code stands in that function (comments left out, spaces and line ends all alike);
#   - every equation that drl.h, or SPEC.md beside the repository, cites by its number has a row, as in
#     [Gao21] (6), and no row has a number that nobody cites;
#   - every example is named.
[ $# -eq 0 ] || { echo "$1: not understood; equations.sh takes no words"; exit 2; }
cd "$(dirname "$0")/.." || exit 1
page=examples/README.md
passed=0 failed=0
check() {       # SENTENCE COMMAND...
    sentence=$1
    shift
    if "$@" > /dev/null 2>&1; then passed=$((passed + 1))
    else failed=$((failed + 1)); echo "equations: FAILED $sentence"; fi
}

# The rows as "FILE<tab>FUNCTION<tab>CODE".
mkdir -p build
rows=build/equations.rows
awk -F'`' '/^\|.*`[^`]*` *\| *`[^`]*` *\|$/ {
    where = $(NF-3)
    file = "drl.h"
    if (split(where, word, " ") == 2) { file = word[1]; where = word[2] }
    print file "\t" where "\t" $(NF-1)
}' $page > $rows

# A function begins after a line that starts in the first column, with "{" there, and ends with "}" there; or
# it is all on one line. "DRL__FN(drl__langevin)" is the kernel of that name.
for file in $(cut -f 1 $rows | sort -u); do
    check "there is no file $file" [ -f "$file" ]
    awk -F'\t' -v file="$file" '
    function end_of_function() {
        gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", body)
        gsub(/[ \t]+/, " ", body)
        text[name] = text[name] " " body
        inside = 0
    }
    NR == FNR {
        if ($1 == file) { code[++rows] = $3; where[rows] = $2 }
        next
    }
    /^[a-zA-Z].*\(/ {
        head = $0
        kernel = sub(/DRL__FN\(/, "", head)
        sub(/^DRL__CALL(_VOID)?\(([a-z_]+[ *]*, *)?/, "", head)
        if (match(head, /[a-zA-Z_][a-zA-Z0-9_]*\)?[(,]/)) name = substr(head, RSTART, RLENGTH - 1)
        if (kernel) name = "DRL__FN(" name
        if (/\{.*\}$/) { body = $0; end_of_function() }
    }
    /^\{/ { inside = 1; body = "" }
    inside { body = body " " $0 }
    inside && /\}$/ && /^[{}]/ { end_of_function() }
    END {
        for (i = 1; i <= rows; ++i) {
            if (!(where[i] in text)) print file " has no function " where[i]
            else if (!index(text[where[i]], code[i])) print file ": " where[i] " has no " code[i]
            else print "ok"
        }
    }' $rows "$file"
done > build/equations.found
passed=$((passed + $(grep -c '^ok$' build/equations.found)))
failed=$((failed + $(grep -vc '^ok$' build/equations.found)))
grep -v '^ok$' build/equations.found | sed 's/^/equations: FAILED /'
check "$page has only $(wc -l < $rows) rows with code" [ "$(wc -l < $rows)" -ge 40 ]

# Citations by number.
numbers() { cat "$@" | grep -oE '\[(Gao21|Zhu24)\] \([0-9]+\)' | sort -u; }
spec=../shared/SPEC.md
[ -f $spec ] || spec=
numbers drl.h $spec > build/equations.cited
numbers $page > build/equations.named
check "nothing in drl.h is cited by number" [ -s build/equations.cited ]
while read -r one; do check "$page has no row for $one" grep -qxF "$one" build/equations.named
done < build/equations.cited
while read -r one; do check "$page has $one, which is cited nowhere" grep -qxF "$one" build/equations.cited
done < build/equations.named

for e in examples/*.c; do check "$page does not name $e" grep -qF "$(basename "$e")" $page; done
echo "equations: $passed passed, $failed failed"
[ $failed -eq 0 ]
