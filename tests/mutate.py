#!/usr/bin/env python3
"""mutate.py [--count N] [--seed N] [--only REGEX] - breaks drl.h by rule, and asks whether a test goes red.

A mutant is one place of the code, changed by one rule:
    compare     the bound of <, <=, > or >= moves by one; == and != change places
    sign        + and - change places, += and -=, too         number      a constant is larger by one
    logic       && and || change places                       accumulate  += and -= become =
    not         a negation is dropped                         delete      a statement is left out
All mutants sleep in one copy of drl.h until the environment names one (tests/mutate.h), so each test program
is compiled once. Which places are drawn depends on the seed and on the text of each line, so that an edit
changes the draw only where it changes the text.

First every part of every test program runs with nothing broken, which gives its time and the mutants that it
reaches. Then each mutant is judged by the parts that reach it, the quickest first, until one goes red; more
than four times the usual processor time is red, too. A mutant in a kernel is awake in one instruction set at
a time, and the sets that reach it are tried until one goes red.

The survivors are printed with their lines. The result is a failure if they are more than one in 50: of places
that were drawn for the first time, about one in a hundred cannot matter. Each is either a hole in the tests,
or is listed with its reason in tests/mutate_equal.txt, one a line:
    rule | function | part of the line | reason
The rule is one of the above, or any. The part may mark the place in braces as the list of survivors does; "-"
stands for every line of the function. Entries that fit no line any more are named.

--only REGEX takes functions with such names; --list only prints the mutants; --jobs N judges N at a time.
Parts that take more than --longest 6 seconds do not judge (with all instruction sets, 24).
"""
import argparse, concurrent.futures, hashlib, os, re, resource, shutil, subprocess, sys, time

os.chdir(os.path.dirname(os.path.abspath(__file__)) + "/..")
parser = argparse.ArgumentParser()
parser.add_argument("--count", type=int, default=200)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--only", default="")
parser.add_argument("--list", action="store_true")
parser.add_argument("--longest", type=float, default=6)
parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
parser.add_argument("--out", default="build/mutants")
option = parser.parse_args()
compiler = os.environ.get("CC", "gcc")
flags = ["-O1", "-w", "-DDRL_THREADS", "-Werror=vla", "-DCHECK_STOP=exit(1)"]
builds = {"portable": ["-DDRL_NO_SIMD"], "simd": ["-DDRL__FMA128"]}
programs = {
    "portable": ["test_train", "test_io", "test_model", "test_sample", "test_mcmc", "test_net", "test_ops",
                 "test_failure", "test_api", "test_context", "test_not_finite", "test_noise", "test_rng",
                 "test_ranks", "conformance"],
    "simd": ["test_ops", "test_rng", "conformance"]}
sets = ["", "portable", "sse2", "fma128", "avx2", "avx512", "neon", "wasm"]       # by the numbers of drl_isa

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
    ("accumulate", r"(?<=[ {])([\w.>\[\]*-]+) ([+-])= ([^;]*);",
     "{{ if ({c}) {1} = {3}; else {1} {2}= {3}; }}"),
    ("delete", r"^(\s+)((?:[A-Za-z_][\w.>\[\]-]*|\*\w+|\w+\([\w.>-]+\)) [-+|*&]?= [^;]*;"
     r"|[a-z]\w*\([^;]*\);)$", "{1}{{ if (!{c}) {2} }}"),
]
SKIPPED = ("drl__fail(", "DRL_ASSERT(", "_Pragma", "printf(")     # sentences and promises


class Mutant:
    def __init__(self, order, number, function, rule, line, begin, end, text):
        self.order, self.number, self.function, self.rule = order, number, function, rule
        self.line, self.begin, self.end, self.text = line, begin, end, text
        place = line[begin:end] if begin else line[begin:end].lstrip()
        self.marked = f"{line[:begin].lstrip()}{{{{{place}}}}}{line[end:]}"

    def __str__(self):
        at = max(self.marked.index("{{") - 60, 0)
        return f"drl.h:{self.number} {self.function} {self.rule}: {self.marked[at:at + 160]}"


def compiled_lines():
    """Numbers of the lines of drl.h that the preprocessor keeps, in any set."""
    command = [compiler, "-E", *flags, *builds["simd"], "-DDRL_IMPLEMENTATION", "-x", "c", "drl.h"]
    kept, here, number = set(), False, 0
    for line in subprocess.run(command, capture_output=True, text=True).stdout.split("\n"):
        mark = re.match(r'# (\d+) "(.*?)"', line)
        if mark:
            here, number = mark[2].endswith("drl.h"), int(mark[1])
            continue
        if here and line.strip():
            kept.add(number)
        number += 1
    return kept


def code_lines(source):
    """(number, function, line without its comment, the number of its instruction set) of all code."""
    kept, function, instruction_set = compiled_lines(), "", "0"
    begun = comment = skipped = False
    for number, line in enumerate(source, 1):
        begun = begun or line.startswith("#if defined(DRL_IMPLEMENTATION)")
        if line.startswith("#else /* DRL__PASS"):
            instruction_set = "DRL__ISA_ID"
        inside = comment
        comment = "*/" not in line if comment else "/*" in line and "*/" not in line[line.rindex("/*"):]
        if inside or not begun:
            continue
        head = re.match(r"DRL__CALL\w*\((?:[\w *]+, *)?(drl_\w+)", line) or \
            re.match(r"[A-Za-z].*?(drl__?[a-z]\w*)\)?[(,]", line)
        if head and not line.endswith(";"):
            function = head[1]
        code = re.sub(r"\s*/\*.*", "", line)
        skipped = skipped or any(word in code for word in SKIPPED)
        if number in kept and code.startswith("    ") and not skipped:
            yield number, function, code, instruction_set
        skipped = skipped and not code.endswith((";", "}"))


def places(source):
    """Every mutant there is."""
    found, seen = [], {}
    for number, function, code, instruction_set in code_lines(source):
        nth = seen[function, code] = seen.get((function, code), 0) + 1
        strings = [m.span() for m in re.finditer(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', code)]
        for rule, pattern, change in RULES:
            outside = lambda m: not any(a <= m.start() < b for a, b in strings)
            for m in filter(outside, re.finditer(pattern, code)):
                at = m.start() - len(code) + len(code.lstrip())
                key = f"{option.seed}|{function}|{code.strip()}|{nth}|{rule}|{at}"
                order = hashlib.sha256(key.encode()).hexdigest()
                text = change.format("", *m.groups(), c=f"drl__m(NUMBER, {instruction_set})")
                found.append(Mutant(order, number, function, rule, source[number - 1], *m.span(), text))
    return found


def without_equal(found):
    """Leaves out what mutate_equal.txt lists, and says which of its lines fit nothing."""
    lines = [line for line in open("tests/mutate_equal.txt") if line.strip() and line[0] != "#"]
    entries, used, left = [[field.strip() for field in line.split(" | ", 3)] for line in lines], set(), []
    for m in found:
        fits = [i for i, (rule, function, part, _) in enumerate(entries) if rule in ("any", m.rule) and
                function == m.function and (part == "-" or part in m.line or part in m.marked)]
        used.update(fits)
        left += [] if fits else [m]
    for i in set(range(len(entries))) - used:
        print("tests/mutate_equal.txt: fits no line of drl.h: " + " | ".join(entries[i][:3]))
    return left


def write(source, mutants, path):
    lines = list(source)
    for k, m in enumerate(mutants, 1):
        lines[m.number - 1] = m.line[:m.begin] + m.text.replace("NUMBER", str(k)) + m.line[m.end:]
    with open(path, "w") as file:
        file.write(f'#define DRL__MUTANTS {len(mutants)}\n#include "tests/mutate.h"\n#line 1 "drl.h"\n')
        file.write("\n".join(lines))


def draw(source, found):
    """The mutants of lowest order, one a line, that the compiler takes in every build."""
    mutants, lines, trial = [], set(), option.out + "/trial.h"
    for m in sorted(found, key=lambda m: m.order):
        if m.number not in lines and len(mutants) < option.count + option.count // 3:
            lines.add(m.number)
            mutants.append(m)
    for build in builds.values():
        while True:
            write(source, mutants, trial)
            command = [compiler, *flags, *build, "-DDRL_IMPLEMENTATION", '-DDRL_HEADER_NAME="trial.h"',
                       "-fsyntax-only", "-x", "c", trial]
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
        self.build, self.command = build, [f"{option.out}/{build}/{program}", *words]
        self.name, self.reached = " ".join([program, *words]), set()

    def run(self, folder, mutant=0, instruction_set=0, seconds=600.0, **more):
        """Its status, processor seconds and words."""
        folder = os.path.abspath(f"{option.out}/{folder}")
        os.makedirs(folder, exist_ok=True)
        limit = lambda: resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
        more.update(os.environ, MUTANT=str(mutant), MUTANT_SET=str(instruction_set), CHECK_DIR=folder)
        with open(folder + "/said", "w+", errors="replace") as said:
            child = subprocess.Popen(self.command, env=more, stdout=said, stderr=said, preexec_fn=limit)
            late, done = time.time() + 20 * seconds + 60, 0         # it may also wait for ever
            while not done:
                time.sleep(0.002)
                done, child.returncode, usage = os.wait4(child.pid, os.WNOHANG)
                if not done and time.time() > late:
                    os.kill(child.pid, 9)
            said.seek(0)
            words = said.read()
        shutil.rmtree(folder, ignore_errors=True)
        return child.returncode, usage.ru_utime + usage.ru_stime, words

    def sound(self, count):
        """Runs with nothing broken; notes its time, its words, and which mutants it reaches in which set."""
        file = os.path.abspath(f"{option.out}/reached-" + re.sub(r"\W+", "-", self.build + self.name))
        longest = option.longest * (4 if self.build == "simd" else 1)
        status, self.seconds, self.said = self.run(os.path.basename(file) + ".d", 0, 0, longest, REACHED=file)
        if self.seconds > longest:
            print(f"{self.name} takes too long, and does not judge")
        elif status:
            print(f"{self.name} fails with nothing broken, and does not judge:\n{self.said[-500:]}")
        else:
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
        said = Judge("portable", program, "no such part").run("parts")[2].split("there are")
        parts = sorted(set(re.findall(r" (\w+)\((?!bad)", said[1]))) if len(said) > 1 else []
        judges += [Judge("portable", program, f"^{part}(") for part in parts] or [Judge("portable", program)]
    for name in sets[1:]:
        if name == "portable" or Judge("simd", "conformance", "--isa", name).run("parts")[0] == 0:
            build = "portable" if name == "portable" else "simd"
            judges += [Judge(build, "test_ops", name, part) for part in ("conv", "ops", "attention", "norm")]
            if build == "simd":
                judges += [Judge(build, "test_ops", name), Judge(build, "conformance", "--isa", name)]
    return judges + [Judge("simd", "test_rng", "^test_normals(")]


def judged(k, mutant, judges):
    """Whether a test goes red. A mutant in a kernel is tried in the sets that reach it until one does."""
    reaching, asleep, seconds = sorted({s for j in judges for n, s in j.reached if n == k}), [], 0
    turn = int(mutant.order[-8:], 16) % len(reaching) if reaching else 0
    for number in reaching[turn:] + reaching[:turn]:
        able = [j for j in judges if (k, number) in j.reached]
        if not number:
            able = [j for j in able if j.build == "portable"] or able
        killer = next((j for j in able if j.red(f"run{k}", k, number)), None)
        if killer:
            also = f", not in {' '.join(asleep)}" if asleep else ""
            print(f"red    {mutant}  [{killer.name}{also}]", flush=True)
            return True
        asleep.append(sets[number])
        seconds += sum(j.seconds for j in able)
    ran = f"{' '.join(asleep)} {seconds:.0f} s of tests" if reaching else "no test gets there"
    print(f"ALIVE  {mutant}  [{ran}]", flush=True)
    return False


def main():
    begin = time.time()
    for folder in ("tests", "bench", "examples", "portable", "simd"):
        os.makedirs(f"{option.out}/{folder}", exist_ok=True)
    os.system(f"cp -p tests/*.[ch] {option.out}/tests/ && cp -p bench/*.h {option.out}/bench/ && "
              f"cp -p examples/*.h {option.out}/examples/")
    source = open("drl.h").read().split("\n")
    found = without_equal(places(source))
    chosen = [m for m in found if re.search(option.only, m.function)]
    if not chosen:
        sys.exit(f"mutate.py: no function that can be broken has {option.only} in its name")
    mutants = draw(source, chosen)
    write(source, mutants, option.out + "/drl.h")
    print(f"{len(found)} places, {len(mutants)} drawn, seed {option.seed}", flush=True)
    if option.list:
        print("\n".join(str(m) for m in mutants))
        return 0

    def build(name, program):
        command = [compiler, *flags, *builds[name], f"{option.out}/tests/{program}.c", "-lm", "-lpthread"]
        subprocess.run(command + ["-o", f"{option.out}/{name}/{program}"], check=True)
    pool = concurrent.futures.ThreadPoolExecutor(option.jobs)
    list(pool.map(build, *zip(*((name, p) for name in ("simd", "portable") for p in programs[name]))))
    print(f"built after {time.time() - begin:.0f} s", flush=True)
    judges = sorted(pool.map(lambda j: j.sound(len(mutants)), all_judges()), key=lambda j: j.seconds)
    print(f"{len(judges)} parts passed after {time.time() - begin:.0f} s", flush=True)
    red = sum(pool.map(lambda k: judged(k, mutants[k - 1], judges), range(1, len(mutants) + 1)))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{time.time() - begin:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processors")
    alive, allowed = len(mutants) - red, len(mutants) // 50
    print(f"mutations: {red} red, {alive} ALIVE of {allowed} at most, "
          f"{len(found)} places, seed {option.seed}")
    return 1 if alive > allowed else 0


sys.exit(main())
