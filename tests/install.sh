#!/bin/sh
# install.sh - make install into a new folder, once with DESTDIR and once without. Then a small program is
# compiled against what lies there, with the words of pkg-config where that is installed. It prints the
# version, on which drl.h, drl.pc and the history in [changing] have to agree.
[ $# -eq 0 ] || { echo "$1: not understood; install.sh takes no words"; exit 2; }
cd "$(dirname "$0")/.." || exit 1
mkdir -p build
at=$(pwd)/build/install
rm -rf "$at"
passed=0 failed=0
check() {       # SENTENCE COMMAND...
    sentence=$1
    shift
    if "$@" > /dev/null 2>&1; then passed=$((passed + 1))
    else failed=$((failed + 1)); echo "install: FAILED $sentence"; fi
}
unset DESTDIR PREFIX MAKEFLAGS
make -s install PREFIX="$at/a" > /dev/null || exit 1
make -s install PREFIX=/opt/drl DESTDIR="$at/b" > /dev/null || exit 1
check "the header is not the repository's" cmp drl.h "$at/a/include/drl.h"
check "DESTDIR: the header is not below it" cmp drl.h "$at/b/opt/drl/include/drl.h"
check "DESTDIR: drl.pc does not name PREFIX" grep -qx 'prefix=/opt/drl' "$at/b/opt/drl/share/pkgconfig/drl.pc"

if command -v pkg-config > /dev/null; then
    export PKG_CONFIG_PATH="$at/a/share/pkgconfig"
    words="$(pkg-config --cflags drl) $(pkg-config --libs drl)"
    said=$(pkg-config --modversion drl)
else
    echo "install: pkg-config is not installed; its file is only read"
    words="-I$at/a/include -lm"
    said=$(sed -n 's/^Version: //p' "$at/a/share/pkgconfig/drl.pc")
fi
printf '%s\n' '#define DRL_IMPLEMENTATION' '#include <drl.h>' '#include <stdio.h>' \
    'int main(void) { drl_ctx *c; puts(DRL_VERSION_STRING); return drl_ctx_create(NULL, &c); }' > "$at/two.c"
check "a program does not compile with $words" \
    ${CC:-cc} -w -DDRL_NO_SIMD "$at/two.c" $words -o "$at/two"
version=$("$at/two")
check "the program says version '$version', drl.pc '$said'" [ "$version" = "$said" ]
newest=$(sed -n '/^ \* Versions, the newest first/,$ s/^ \*   \([0-9][0-9.]*\)  .*/\1/p' drl.h | head -n 1)
check "the history in [changing] begins with '$newest', not $version" [ "$newest" = "$version" ]
echo "install: $passed passed, $failed failed"
[ $failed -eq 0 ]
