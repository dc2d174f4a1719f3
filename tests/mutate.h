/* mutate.h - stands at the head of the copy of drl.h that tests/mutate.py makes: drl__m(k, set) is 1 when
 * mutant k is awake, in code that is compiled for that instruction set (0: code that is compiled once). The
 * environment variables MUTANT and MUTANT_SET name both. Into the file that REACHED names goes, for each
 * mutant, in which sets its place was reached. */
#ifndef MUTATE_H
#define MUTATE_H
#include <stdio.h>
#include <stdlib.h>

static int drl__mutant, drl__mutant_set;
static unsigned char drl__reached[DRL__MUTANTS + 1][7];
#define drl__m(k, set) \
    ((void)(drl__reached[k][set] = 1), drl__mutant == (k) && (!(set) || drl__mutant_set == (set)))

__attribute__((constructor)) static void drl__wake(void)
{
    if (getenv("MUTANT")) drl__mutant = atoi(getenv("MUTANT"));
    if (getenv("MUTANT_SET")) drl__mutant_set = atoi(getenv("MUTANT_SET"));
}

__attribute__((destructor)) static void drl__report_reached(void)
{
    FILE *file = getenv("REACHED") ? fopen(getenv("REACHED"), "wb") : NULL;
    if (!file) return;
    fwrite(drl__reached, sizeof drl__reached, 1, file);
    fclose(file);
}
#endif
