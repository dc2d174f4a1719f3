#!/bin/sh
# readme.sh [FOLDER] - every command of README.md and examples/pictures/README.md as written, in a fresh copy
# of the repository, made short by options at its end. Commands that name data which is not there are skipped
# by name; so are make test, make web and make check-web, which have checks of their own (.ci/run and web).
# tests/pytorch.py looks at examples/PYTHON.md.
cd "$(dirname "$0")/.." || exit 1
[ $# -le 1 ] || { echo "$2: not understood; readme.sh [FOLDER]"; exit 2; }
case $1 in -*) echo "$1: not understood; readme.sh [FOLDER]"; exit 2;; esac
copy=${1:-build/readme}/drl
rm -rf "$copy"
mkdir -p "$copy"
git ls-files | tar -cf - -T - | tar -xf - -C "$copy" || exit 1
cd "$copy" || exit 1
mkdir build
# the later of two values of an option is refused, so short ones replace those that are there
short() {
    echo "$1" | sed -E -e 's/--minutes [0-9.]+/--minutes 0.02/; s/--steps [0-9.]+/--steps 2/' \
        -e 's/--count [0-9]+/--count 2/; s/--base [0-9]+/--base 8/'
}
passed=0 failed=0 skipped=0 outs=
{
    # a command that goes on behind a backslash is one line
    cat README.md examples/pictures/README.md | sed -e ':more' -e '/ \\$/{N;s/ *\\\n */ /;b more' -e '}' |
        sed -n 's/^    \(build\/.*\|make .*\)$/\1/p'
    # what is not in a line of its own: programs of the table "Start here"
    sed -n 's/^|[^`]*`\(build\/[0-9][^`]*\|make [a-z]*\)`.*/\1/p' README.md
} > build/commands
grep -q . build/commands || { echo "README.md has no commands"; exit 1; }
while read -r line; do
    case $line in
    "make test"|"make web"|"make check-web")
        echo "skipped, a check of its own: $line"
        skipped=$((skipped + 1))
        continue;;
    esac
    out=$(echo "$line" | sed -n 's/.*--out \([^ ]*\).*/\1/p')
    again=" $outs "
    case $line in *--resume*) again=;; esac  # it goes on with what is there
    case $again in
    *" ${out:-none} "*)
        echo "FAILED: two commands write $out"
        failed=$((failed + 1));;
    esac
    outs="$outs $out"
    missing=
    for word in $line; do
        case $word in
        ../shared/*|*.npy) [ -e "$word" ] || missing=$word;;
        build/*.safetensors) [ -e "$word" ] || missing=$word;;
        esac
    done
    case $line in *build/evaluate*) [ -d ../shared ] || missing=../shared;; esac
    case $line in
    "make demo") command="$line CFLAGS=-O1 MINUTES=0.05";;
    "make bench") command="$line CFLAGS=-O1 BENCH=fwd-1-32-32-b1";;
    make*) command="$line CFLAGS=-O1";;
    *) command=$(short "$line")
       program=${line%% *}
       [ -x "$program" ] || make -s "$program" CFLAGS=-O1 || exit 1
       case $command in
       */01_toy2d*) command="$command --steps 3 --k 2";;
       */08_likelihood*) command="$command --steps 3 --count 4 --temperatures 5";;
       */14_anomaly*) command="$command --steps 2";;
       */10_image*) command="$command --count 2 --temperatures 3 --images 4";;
       */06_tiles*|*/07_own*|*/11_own*)
           case $command in *--minutes*|*--model*) ;; *) command="$command --steps 2";; esac;;
       esac;;
    esac
    case $line in "build/03_sample build/demo"*|"build/09_long_chain build/demo"*)
        # make demo's model, in seconds
        [ -e build/demo.safetensors ] || {
            make -s build/06_tiles CFLAGS=-O1 &&
                build/06_tiles --steps 2 --k 1 --out build/demo > build/demo.txt
        } && missing=;;
    esac
    if [ -n "$missing" ]; then echo "skipped, no $missing: $line"; skipped=$((skipped + 1)); continue; fi
    if sh -c "$command" > build/said 2>&1 < /dev/null; then passed=$((passed + 1))
    else failed=$((failed + 1)); echo "FAILED: $command"; tail -n 3 build/said; fi
done < build/commands
for f in *.png *.ppm *.npy *.safetensors; do
    [ -e "$f" ] || continue
    echo "FAILED: $f lies among the sources"
    failed=$((failed + 1))
done
echo "readme: $passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
