#!/bin/sh
# kernels.sh LOG - adds up the lines "kernels: SET NAME=RUNS ..." that the test programs print, and says which
# kernels have not run.
[ $# -eq 1 ] && [ -f "$1" ] || { echo "kernels.sh LOG: one file is needed"; exit 2; }
awk '
/^kernels: / {
    if (!($2 in seen)) { seen[$2] = 1; sets[++n] = $2 }
    for (i = 3; i <= NF; ++i) {
        split($i, kv, "=")
        runs[$2, kv[1]] += kv[2]
        if (!(kv[1] in known)) { known[kv[1]] = 1; names[++m] = kv[1] }
    }
}
END {
    for (s = 1; s <= n; ++s) {
        least = -1
        for (k = 1; k <= m; ++k) {
            r = runs[sets[s], names[k]]
            if (r > 0) ++p; else { ++f; print "kernels: " names[k] " of " sets[s] " has not run" }
            if (least < 0 || r < least) { least = r; rarest = names[k] }
        }
        printf "kernels of %s: %d, the rarest, %s, %d times\n", sets[s], m, rarest, least
    }
    count = split("portable sse2 fma128 avx2 avx512 neon wasm", all, " ")
    for (s = 1; s <= count; ++s) if (!(all[s] in seen)) print "kernels of " all[s] ": not on this machine"
    print "kernels: " p + 0 " passed, " f + 0 " failed"
    exit f > 0 || n == 0
}' "$1"
