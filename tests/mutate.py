#!/usr/bin/env python3
"""mutate.py [--count N] [--seed N] [--only REGEX] - breaks drl.h by rule, and asks whether a test goes red.

A mutant is one place of the code, changed by one rule:
    compare     < and <=, > and >=, == and != change places      not      a negation is dropped
    sign        + and - change places, += and -=, too            delete   a statement is left out
    logic       && and || change places                          number   a constant is larger by one
    accumulate  += and -= become =
All mutants sleep in one copy of drl.h until the environment variable MUTANT names one, so each test program is
compiled once. Which places are drawn depends on the seed and on the text of each line, not on line numbers: an
edit changes the draw only where it changes the text.

First every part of every test program runs with nothing broken. This gives its time and the mutants that it
reaches. Then each mutant is judged by the parts that reach it, the quickest first, until one goes red; more than
four times the usual processor time is red, too. A mutant in a kernel is awake in one instruction set at a time.

The survivors are printed with their lines, and the result is a failure if there are any. A change that cannot
matter is listed with its reason in tests/mutate_equal.txt, one a line:
    rule | function | part of the line | reason
The rule is one of the above, or any; the part may mark the place as the list of survivors does; - is any line.
--only REGEX takes functions with such names; --list only prints the mutants; --jobs N judges N at a time; parts
that take more than --longest 4 seconds do not judge (of those for kernels alone, 16).
"""
import argparse, concurrent.futures, hashlib, os, re, resource, subprocess, sys, time

os.chdir(os.path.dirname(os.path.abspath(__file__)) + "/..")
parser = argparse.ArgumentParser()
parser.add_argument("--count", type=int, default=200)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--only", default="")
parser.add_argument("--list", action="store_true")
parser.add_argument("--longest", type=float, default=4)
parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
parser.add_argument("--out", default="build/mutants")
option = parser.parse_args()
compiler = os.environ.get("CC", "gcc")
flags = ["-O1", "-w", "-DDRL_THREADS", "-Werror=vla", "-DCHECK_STOP=exit(1)"]
builds = {"portable": ["-DDRL_NO_SIMD"], "simd": ["-DDRL__FMA128"]}
programs = {"portable": ["test_train", "test_io", "test_model", "test_sample", "test_mcmc", "test_net", "test_ops",
                         "test_failure", "test_api", "test_context", "test_not_finite", "test_noise", "test_rng",
                         "conformance"],
            "simd": ["test_ops", "test_rng", "conformance"]}
set_number = {"portable": 1, "sse2": 2, "fma128": 3, "avx2": 4, "avx512": 5, "neon": 6}      # drl_isa

# What stands before the copy of drl.h. A set of 0 stands for code that is not compiled once for each set.
WAKE = """#ifndef DRL__MUTANTS
#define DRL__MUTANTS
#include <stdio.h>
#include <stdlib.h>
static int drl__mutant, drl__mutant_set;
static unsigned char drl__reached[%d][7];
#define drl__m(k, set) ((void)(drl__reached[k][set] = 1), drl__mutant == (k) && (!(set) || drl__mutant_set == (set)))
__attribute__((constructor)) static void drl__wake(void)
{
    if (getenv("MUTANT")) drl__mutant = atoi(getenv("MUTANT"));
    if (getenv("MUTANT_SET")) drl__mutant_set = atoi(getenv("MUTANT_SET"));
}
__attribute__((destructor)) static void drl__report_reached(void)
{
    FILE *file = getenv("REACHED") ? fopen(getenv("REACHED"), "wb") : NULL;
    if (file) { fwrite(drl__reached, sizeof drl__reached, 1, file); fclose(file); }
}
#endif
#line 1 "drl.h"
"""

# (rule, pattern, the text in its place): {c} is 1 in the mutant and 0 else, {1} the first group.
RULES = [
    ("compare", r" < (?=[\w(&*])", " < {c} + "),
    ("compare", r" <= (?=[\w(&*])", " <= -{c} + "),
    ("compare", r" > (?=[\w(&*])", " > -{c} + "),
    ("compare", r" >= (?=[\w(&*])", " >= {c} + "),
    ("compare", r"\(([^()&|?]+) == ([^()&|?]+)\)", "({c} ? {1} != {2} : {1} == {2})"),
    ("compare", r"\(([^()&|?]+) != ([^()&|?]+)\)", "({c} ? {1} == {2} : {1} != {2})"),
    ("sign", r" ([+-]) (?=[\w(])", " {1} (1 - 2 * {c}) * "),
    ("sign", r" ([+-])= (?=[\w(])(?=[^;]*;$)", " {1}= (1 - 2 * {c}) * "),
    ("not", r"!(?=[a-z(])", "{c} != !"),
    ("logic", r"\(([^()&|?]+) && ([^()&|?]+)\)", "({c} ? ({1}) || ({2}) : ({1}) && ({2}))"),
    ("logic", r"\(([^()&|?]+) \|\| ([^()&|?]+)\)", "({c} ? ({1}) && ({2}) : ({1}) || ({2}))"),
    ("number", r"(?<![\w.\[])([0-9]+|[0-9]+\.[0-9]*(?:e-?[0-9]+)?f?)(?![\w.])", "({1} + {c})"),
    ("accumulate", r"(?<=[ {])([\w.>\[\]*-]+) ([+-])= ([^;]*);", "{{ if ({c}) {1} = {3}; else {1} {2}= {3}; }}"),
    ("delete", r"^(\s+)((?:[A-Za-z_][\w.>\[\]-]*|\*\w+|\w+\([\w.>-]+\)) [-+|*&]?= [^;]*;|[a-z]\w*\([^;]*\);)$",
     "{1}{{ if (!{c}) {2} }}"),
]
SKIPPED = ("drl__fail(", "DRL_ASSERT(", "_Pragma", "printf(")


class Mutant:
    def __init__(self, order, number, function, rule, line, begin, end, text):
        self.order, self.number, self.function, self.rule = order, number, function, rule
        self.line, self.begin, self.end, self.text = line, begin, end, text

    def marked(self):
        """The line with its place in double braces."""
        place = self.line[self.begin:self.end]
        return f"{self.line[:self.begin]}{{{{{place if self.begin else place.lstrip()}}}}}{self.line[self.end:]}".lstrip()

    def __str__(self):
        text = self.marked()
        at = max(text.index("{{") - 60, 0)
        return f"drl.h:{self.number} {self.function} {self.rule}: {text[at:at + 160]}"


def compiled_lines():
    """Numbers of the lines of drl.h that the preprocessor keeps, in any set."""
    kept = set()
    command = [compiler, "-E", *flags, *builds["simd"], "-DDRL_IMPLEMENTATION", "-x", "c", "drl.h"]
    here, number = False, 0
    for line in subprocess.run(command, capture_output=True, text=True).stdout.split("\n"):
        mark = re.match(r'# (\d+) "(.*?)"', line)
        if mark:
            here, number = mark[2].endswith("drl.h"), int(mark[1])
            continue
        if here and line.strip():
            kept.add(number)
        number += 1
    return kept


def places(source):
    """Every mutant there is, outside of comments, strings and preprocessor lines."""
    kept, found, seen = compiled_lines(), [], {}
    function, comment, set_name = "", False, "0"
    begun, skipped = False, False
    for number, line in enumerate(source, 1):
        begun = begun or line.startswith("#if defined(DRL_IMPLEMENTATION)")
        if line.startswith("#else /* DRL__PASS"):
            set_name = "DRL__ISA_ID"
        inside = comment
        comment = "*/" not in line if comment else "/*" in line and "*/" not in line[line.rindex("/*"):]
        if inside or not begun:
            continue
        head = re.match(r"[A-Za-z].*?(drl__?[a-z]\w*)\)?[(,]", line) if not line.startswith("DRL__CALL") else \
            re.match(r"DRL__CALL\w*\([\w *]+, *(\w+)|DRL__CALL_VOID\((\w+)", line)
        if head and not line.endswith(";"):
            function = next(name for name in head.groups() if name)
        code = re.sub(r"\s*/\*.*", "", line)
        skipped = skipped or any(word in code for word in SKIPPED)
        if skipped or number not in kept or not code.startswith("    "):
            skipped = skipped and not code.endswith((";", "}"))
            continue
        nth = seen[function, code] = seen.get((function, code), 0) + 1
        strings = [m.span() for m in re.finditer(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', code)]
        for rule, pattern, change in RULES:
            for m in re.finditer(pattern, code):
                if any(a <= m.start() < b for a, b in strings):
                    continue
                key = f"{option.seed}|{function}|{code.strip()}|{nth}|{rule}|{m.start() - len(code) + len(code.lstrip())}"
                order = hashlib.sha256(key.encode()).hexdigest()
                text = change.format("", *m.groups(), c=f"drl__m(NUMBER, {set_name})")
                found.append(Mutant(order, number, function, rule, line, m.start(), m.end(), text))
    return found


def without_equal(found):
    """Leaves out what mutate_equal.txt lists, and says which of its lines fit nothing."""
    left, used, entries = [], set(), []
    for line in open("tests/mutate_equal.txt"):
        if line.strip() and not line.startswith("#"):
            entries.append([field.strip() for field in line.split(" | ", 3)])
    for mutant in found:
        fits = [i for i, (rule, function, part, _) in enumerate(entries) if rule in ("any", mutant.rule)
                and function == mutant.function and (part == "-" or part in mutant.line or part in mutant.marked())]
        used.update(fits)
        if not fits:
            left.append(mutant)
    stale = [entries[i] for i in range(len(entries)) if i not in used]
    for entry in stale:
        print("tests/mutate_equal.txt: fits no line of drl.h: " + " | ".join(entry[:3]))
    return left, len(found) - len(left), len(stale)


def write(source, mutants, path):
    lines = list(source)
    for k, mutant in enumerate(mutants, 1):
        text = mutant.text.replace("NUMBER", str(k))
        lines[mutant.number - 1] = mutant.line[:mutant.begin] + text + mutant.line[mutant.end:]
    text = WAKE % (len(mutants) + 1) + "\n".join(lines)
    if not os.path.exists(path) or open(path).read() != text:
        with open(path, "w") as file:
            file.write(text)


def draw(source, found):
    """The mutants of lowest order, one a line, that the compiler takes in every build."""
    mutants, lines, trial = [], set(), option.out + "/trial/drl.h"
    for mutant in sorted(found, key=lambda m: m.order):
        if mutant.number not in lines and len(mutants) < option.count + option.count // 3:
            lines.add(mutant.number)
            mutants.append(mutant)
    for name in ("portable", "simd"):
        while True:
            write(source, mutants, trial)
            command = [compiler, *flags, *builds[name], "-DDRL_IMPLEMENTATION", "-fsyntax-only", "-x", "c", trial]
            said = subprocess.run(command, capture_output=True, text=True).stderr
            wrong = {int(n) for n in re.findall(r"^\S*drl\.h:(\d+):\d+: (?:fatal )?error", said, re.M)}
            if not wrong:
                break
            # an error may stand some lines below what it is about
            near = {max((m.number for m in mutants if m.number <= n), default=0) for n in wrong}
            if not near - {0}:
                sys.exit(said)
            mutants = [m for m in mutants if m.number not in near]
    return mutants[:option.count]


class Judge:
    """One part of one program, or all of it."""
    def __init__(self, build, program, *words):
        self.build = build
        self.command = [f"{option.out}/{build}/{program}", *words]
        self.name = " ".join([program, *words])

    def run(self, folder, mutant=0, instruction_set=0, seconds=600.0, **more):
        """Its status, processor seconds and words."""
        folder = os.path.abspath(f"{option.out}/{folder}")
        os.makedirs(folder, exist_ok=True)
        limit = lambda: resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
        environment = dict(os.environ, MUTANT=str(mutant), MUTANT_SET=str(instruction_set), CHECK_DIR=folder, **more)
        with open(folder + "/said", "w+") as said:
            child = subprocess.Popen(self.command, env=environment, stdout=said, stderr=said, preexec_fn=limit)
            late = time.time() + 20 * seconds + 60          # it may also wait for ever
            while True:
                done, status, usage = os.wait4(child.pid, os.WNOHANG)
                if done:
                    break
                if time.time() > late:
                    child.send_signal(9)
                time.sleep(0.002)
            child.returncode = status
            said.seek(0)
            return status, usage.ru_utime + usage.ru_stime, said.read()

    def sound(self, count):
        """Runs with nothing broken; notes its time, its words, and which mutants it reaches in which set."""
        folder = "sound-" + re.sub(r"\W+", "-", self.name)
        file = os.path.abspath(f"{option.out}/{folder}-reached")
        self.reached = set()
        longest = option.longest * (4 if self.build == "simd" else 1)
        status, self.seconds, self.said = self.run(folder, seconds=longest, REACHED=file)
        if self.seconds > longest:
            return self
        if status:
            print(f"{self.name} fails with nothing broken, and does not judge:\n{self.said[-500:]}", flush=True)
            return self
        reached = open(file, "rb").read()
        self.reached = {(k, s) for k in range(1, count + 1) for s in range(7) if reached[7 * k + s]}
        os.remove(file)
        return self

    def red(self, folder, mutant, instruction_set):
        status, _, said = self.run(folder, mutant, instruction_set, 4 * self.seconds + 2)
        return status != 0 or ("conformance" in self.name and said != self.said)


def all_judges():
    """Every part of every program."""
    judges = []
    for program in programs["portable"]:
        _, _, said = Judge("portable", program, "no such part").run("parts")
        parts = sorted(set(re.findall(r"\b(\w+)\(", said.split("there are")[-1]))) if "there are" in said else []
        if program == "test_ops":
            judges += [Judge("portable", program, "portable", part) for part in ("conv", "ops", "attention", "norm")]
        judges += [Judge("portable", program, f"^{part}(") for part in parts] or [Judge("portable", program)]
    for name in list(set_number)[1:]:
        if Judge("simd", "conformance", "--isa", name).run("parts")[0] == 0:
            judges += [Judge("simd", "test_ops", name)]
            judges += [Judge("simd", "test_ops", name, part) for part in ("conv", "ops", "attention", "norm")]
            judges += [Judge("simd", "conformance", "--isa", name), Judge("simd", "test_rng", "^test_normals(")]
    return judges


def main():
    begin = time.time()
    for folder in ("/tests", "/bench", "/examples", "/trial", "/portable", "/simd"):
        os.makedirs(option.out + folder, exist_ok=True)
    for folder, files in (("tests", "tests/*.[ch]"), ("bench", "bench/*.h"), ("examples", "examples/*.h")):
        os.system(f"cp -p {files} {option.out}/{folder}/")
    source = open("drl.h").read().split("\n")
    found, equal, stale = without_equal(places(source))
    chosen = [m for m in found if re.search(option.only, m.function)]
    if not chosen:
        sys.exit(f"mutate.py: no function that can be broken has {option.only} in its name")
    mutants = draw(source, chosen)
    write(source, mutants, option.out + "/drl.h")
    print(f"{len(found)} places, {equal} more are listed as equal; {len(mutants)} drawn, seed {option.seed}", flush=True)
    if option.list:
        print("\n".join(str(m) for m in mutants))
        return stale
    pool = concurrent.futures.ThreadPoolExecutor(option.jobs)

    def build(name, program):
        out = f"{option.out}/{name}/{program}"
        newest = max(os.path.getmtime(f) for f in (option.out + "/drl.h", f"{option.out}/tests/{program}.c"))
        if os.path.exists(out) and os.path.getmtime(out) > newest:
            return
        subprocess.run([compiler, *flags, *builds[name], f"{option.out}/tests/{program}.c", "-o", out, "-lm",
                        "-lpthread"], check=True)
    wanted = [(name, program) for name in ("simd", "portable") for program in programs[name]]
    list(pool.map(lambda one: build(*one), wanted))
    print(f"built after {time.time() - begin:.0f} s", flush=True)
    judges = sorted(pool.map(lambda j: j.sound(len(mutants)), all_judges()), key=lambda j: j.seconds)
    slow = [j.name for j in judges if not j.reached]
    print(f"{len(judges)} parts, {sum(j.seconds for j in judges):.0f} s, passed after {time.time() - begin:.0f} s; "
          f"too slow or without a mutant: {', '.join(slow)}", flush=True)

    def judge(k):
        """Whether a test goes red. A mutant in a kernel is tried in the sets that reach it until one does."""
        mutant, asleep, seconds = mutants[k - 1], [], 0
        sets = sorted({s for j in judges for (n, s) in j.reached if n == k})
        turn = int(mutant.order[-8:], 16) % len(sets) if sets else 0
        for number in sets[turn:] + sets[:turn]:
            able = [j for j in judges if (k, number) in j.reached]
            if not number:
                able = [j for j in able if j.build == "portable"] or able
            killer = next((j for j in able if j.red(f"run{k}", k, number)), None)
            os.system(f"rm -rf {option.out}/run{k}")
            name = "".join(name for name, n in set_number.items() if n == number)
            if killer:
                also = f", not in {' '.join(asleep)}" if asleep else ""
                print(f"red    {mutant}  [{killer.name}{also}]", flush=True)
                return True
            asleep.append(name)
            seconds += sum(j.seconds for j in able)
        ran = f"{' '.join(asleep)} {seconds:.0f} s of tests" if sets else "no test gets there"
        print(f"ALIVE  {mutant}  [{ran}]", flush=True)
        return False
    red = sum(pool.map(judge, range(1, len(mutants) + 1)))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{time.time() - begin:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processors")
    print(f"mutations: {red} red, {len(mutants) - red} ALIVE, {len(found)} places, seed {option.seed}")
    return red < len(mutants) or stale


sys.exit(1 if main() else 0)
