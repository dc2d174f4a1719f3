#!/usr/bin/env python3
"""mutate.py [--seed N] [--count N] [--lines FIRST-LAST] - breaks drl.h by rule and looks which test program goes red.

One mutant a line, on lines drawn at random from the code that a build with DRL_NO_SIMD compiles:
    compare  < for <=, > for >=, == for != (and back)        sign     + for - (and back), += for -=
    not      a negation dropped                              number   an integer constant larger by one
    logic    && for || (and back)                            delete   a statement left out
All mutants are compiled into one copy of drl.h, each asleep until the environment variable MUTANT names it, so every test
program is built once (-O1 -DDRL_NO_SIMD). For each mutant they run in order of their speed until one goes red; more than
three times its usual time plus ten seconds is red, too. The result lists the survivors with line and text; fails if there are any.
A line that cannot matter bears the comment marker 'no mutant:' with the reason.
"""
import argparse, os, random, re, subprocess, sys, time

os.chdir(os.path.dirname(os.path.abspath(__file__)) + "/..")
ask = argparse.ArgumentParser()
ask.add_argument("--seed", type=int, default=1)
ask.add_argument("--count", type=int, default=40)
ask.add_argument("--lines", default="1-999999")
ask.add_argument("--out", default="build/mutants")
ask = ask.parse_args()
first, last = (int(x) for x in ask.lines.split("-"))
cc = os.environ.get("CC", "gcc")
flags = ["-O1", "-DDRL_NO_SIMD", "-DDRL_THREADS", "-w"]
programs = ["test_rng", "test_ops", "test_context", "test_net", "test_not_finite", "test_api", "test_io", "test_failure",
            "test_model", "test_mcmc", "test_sample", "test_train"]
source = open("drl.h").read().split("\n")


def active_lines():
    """Numbers of the lines that the preprocessor keeps."""
    text = subprocess.run([cc, "-E", *flags, "-DDRL_IMPLEMENTATION", "-x", "c", "drl.h"], capture_output=True, text=True).stdout
    keep, here, number = set(), False, 0
    for line in text.split("\n"):
        mark = re.match(r'# (\d+) "(.*?)"', line)
        if mark:
            here, number = mark[2].endswith("drl.h"), int(mark[1])
            continue
        if here and line.strip():
            keep.add(number)
        number += 1
    return keep


# (rule, pattern, function from match and the mutant's condition to the text in place of the match)
RULES = [
    ("compare", r" (<|>|<=|>=|==|!=) (?=[\w(])", lambda m, c: {
        "<": f" < {c} + ", "<=": f" <= -{c} + ", ">": f" > -{c} + ", ">=": f" >= {c} + ",
        "==": f" == {c} + ", "!=": f" != {c} + "}[m[1]]),
    ("sign", r" ([+-]) (?=[\w(])", lambda m, c: f" {m[1]} (1 - 2 * {c}) * "),
    ("sign", r" ([+-])= (?=[\w(])(?=[^;]*;$)", lambda m, c: f" {m[1]}= (1 - 2 * {c}) * "),
    ("not", r"!(?=[a-z(])", lambda m, c: f"{c} != !"),
    ("logic", r"\(([^()&|?]+) && ([^()&|?]+)\)", lambda m, c: f"({c} ? ({m[1]}) || ({m[2]}) : ({m[1]}) && ({m[2]}))"),
    ("logic", r"\(([^()&|?]+) \|\| ([^()&|?]+)\)", lambda m, c: f"({c} ? ({m[1]}) && ({m[2]}) : ({m[1]}) || ({m[2]}))"),
    ("number", r"(?<![\w.\[])([0-9]+)(?![\w.])", lambda m, c: f"({m[1]} + {c})"),
    ("delete", r"^(\s+)((?:[A-Za-z_][\w.>\[\]-]*|\*\w+|\w+\([\w.>-]+\)) [-+|*&]?= [^;]*;|[a-z]\w*\([^;]*\);)$",
     lambda m, c: f"{m[1]}{{ if (!{c}) {m[2]} }}"),
]


def candidates(active):
    """Per line: every (rule, begin, end, function) that applies outside of strings and comments."""
    found, comment, begun = {}, False, False
    for number, line in enumerate(source, 1):
        begun = begun or line.startswith("#if defined(DRL_IMPLEMENTATION)")
        code, was = line, comment
        if comment and "*/" in line:
            comment = False
        elif not comment and "/*" in line and "*/" not in line[line.index("/*"):]:
            comment = True
        if was or not begun or number not in active or not first <= number <= last or code.lstrip().startswith("#") \
                or code.endswith("\\") or "no mutant:" in code or not code.startswith("    ") or "drl__fail(" in code:
            continue
        code = re.sub(r"\s*/\*.*", "", code)
        strings = [m.span() for m in re.finditer(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', code)]
        for rule, pattern, change in RULES:
            for m in re.finditer(pattern, code):
                if not any(a <= m.start() < b for a, b in strings):
                    found.setdefault(number, []).append((rule, m.start(), m.end(), change(m, "drl__m(%d)"), line))
    return found


def write(mutants):
    lines = list(source)
    for k, (number, rule, begin, end, text, line) in mutants.items():
        lines[number - 1] = line[:begin] + text.replace("%d", str(k)) + line[end:]
    wake = ("#include <stdlib.h>\n#ifndef DRL__M\n#define DRL__M\nstatic int drl__mutant;\n#define drl__m(k) (drl__mutant == (k))\n"
            "__attribute__((constructor)) static void drl__wake(void) { const char *s = getenv(\"MUTANT\"); if (s) drl__mutant = atoi(s); }\n"
            "#endif\n#line 1 \"drl.h\"\n")
    open(ask.out + "/drl.h", "w").write(wake + "\n".join(lines))


def run(program, number, limit):
    begin = time.time()
    folder = os.path.abspath(ask.out + "/runs")
    try:
        red = subprocess.run([ask.out + "/" + program], env=dict(os.environ, MUTANT=str(number), CHECK_DIR=folder),
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=limit).returncode != 0
    except subprocess.TimeoutExpired:
        red = True
    return red, time.time() - begin


for folder in ("/tests", "/examples", "/runs"):
    os.makedirs(ask.out + folder, exist_ok=True)
os.system(f"cp tests/*.c tests/*.h {ask.out}/tests/ && cp examples/*.h {ask.out}/examples/")
found = candidates(active_lines())
draw = random.Random(ask.seed)
lines = draw.sample(sorted(found), min(ask.count, len(found)))
mutants = {k: (n, *draw.choice(found[n])) for k, n in enumerate(lines, 1)}
for attempt in range(8):        # what the compiler refuses is no mutant
    write(mutants)
    check = subprocess.run([cc, *flags, "-DDRL_IMPLEMENTATION", "-fsyntax-only", "-x", "c", ask.out + "/drl.h"],
                           capture_output=True, text=True)
    wrong = {int(n) for n in re.findall(r"^\S*drl\.h:(\d+):\d+: error", check.stderr, re.M)}
    if not wrong:
        break
    mutants = {k: m for k, m in mutants.items() if m[0] not in wrong}
if check.returncode:
    sys.exit(check.stderr)
print(f"{len(found)} lines can be broken; seed {ask.seed}: {len(mutants)} mutants of {len(lines)} compile", flush=True)

usual = {}
for program in programs:
    subprocess.run([cc, *flags, "-DCHECK_STOP=exit(1)", f"{ask.out}/tests/{program}.c", "-o", f"{ask.out}/{program}", "-lm", "-lpthread"],
                   check=True)
    red, usual[program] = run(program, 0, 900)
    if red:
        sys.exit(f"{program} fails with nothing broken")
    print(f"  {program}: {usual[program]:.1f} s", flush=True)
alive = 0
for k, (number, rule, begin, end, text, line) in mutants.items():
    killer = next((p for p in sorted(programs, key=usual.get) if run(p, k, 3 * usual[p] + 10)[0]), None)
    alive += killer is None
    print(f"{'ALIVE' if killer is None else 'red':6} {killer or '':16} drl.h:{number} {rule}: {line[begin:end].strip()}  in  {line.strip()[:150]}", flush=True)
print(f"mutations: {len(mutants) - alive} red, {alive} ALIVE, seed {ask.seed}")
sys.exit(alive > 0 or not mutants)
