"""Counts the instructions of kernels and compares them with instructions.txt; with --renew, writes that file.

Not a benchmark: a count says nothing of caches and of how many instructions run at once, but it is the same on a busy
machine. What valgrind can execute (the plain set and AVX2) is counted while examples/count.rs runs; of AVX-512, which it
cannot, the loops around `vpdpbusd` are read from the disassembly. The one design choice: the program that is counted is
linked as the one that is shipped. x86-64 only.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TABLE = os.path.join(HERE, "instructions.txt")
SETS = ["scalar", "avx2"]
TOLERANCE = 0.03  # what a count may grow by
HEAD = """\
# What kernels cost in instructions. Written by `python3 crates/kernels/instructions.py --renew`, compared without --renew;
# docs/perf/kernels.md says what is counted.
"""
CALLS = "# Instructions of one call."
LOOPS = "# AVX-512: instructions of one turn of a loop, loops within it being taken once."


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def versions():
    """What counts depend on beside our own code."""
    return f"# {output('rustc', '--version').strip()}, {' '.join(platform.libc_ver())}"


def build():
    """The path of examples/count.rs, linked for size as the program is, but with its symbols."""
    last = ["-p", "pintpot-kernels", "--example", "count", "--", "-C", "opt-level=s", "-C", "strip=none"]
    env = {name: value for name, value in os.environ.items() if not name.endswith("RUSTFLAGS")}
    subprocess.run(["cargo", "rustc", "--release", "--locked", "--quiet", *last], cwd=ROOT, env=env, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    return os.path.join(ROOT, target, "release", "examples", "count")


def calls(program, isa):
    """Instructions of every kernel of a set: {(kernel, set): (count,)}."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        options = ["--zero-before=counted_call", "--dump-after=counted_call", f"--callgrind-out-file={out}"]
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", *options, program, isa],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if run.returncode == 2:
            print(f"{isa}: not on this CPU, or not in this valgrind, skipped")
            return {}
        if run.returncode != 0:
            sys.exit(run.stderr)
        # One file for each kernel, numbered in the order in which they ran.
        counts = {}
        for number, kernel in enumerate(run.stdout.splitlines(), 1):
            with open(f"{out}.{number}", encoding="utf-8") as file:
                total = next(line for line in file if line.startswith("totals:"))
            counts[kernel, isa] = (int(total.split()[1]),)
        return counts


def functions(program):
    """Names and instructions of the AVX-512 products: [(name, [(address, mnemonic, operands)])]."""
    found, body = [], None
    for line in output("objdump", "-d", "-C", "--no-show-raw-insn", program).splitlines():
        if head := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            name, body = product_name(head[1]), []
            if name:
                found.append((name, body))
        elif body is not None and (part := re.match(r" *([0-9a-f]+):\t(\S+) *(.*)", line)):
            body.append((int(part[1], 16), part[2], part[3]))
    return found


def product_name(symbol):
    """What a reader calls the function, if it is a product of AVX-512: `tile` for many columns, else the format."""
    if "with_features" not in symbol or "Avx512" not in symbol:
        return None
    if column := re.search(r"rows::Column<.*dot::(\w+)::\w+>", symbol):
        return f"{column[1].upper()}, 1 column"
    if column := re.search(r"turned::Column<.*dot::(\w+)::\w+>", symbol):
        return f"{column[1].upper()}, 1 column, turned"
    if shape := re.search(r"panels::Product<.*Codes<\d+, (\d+), (\w+)>", symbol):
        return f"tile, groups of {shape[1]}" + (", minimum" if shape[2] == "true" else "")
    return None


def natural_loops(body):
    """The loops of a function, as sets of indices into `body`: for each header, all that leads back to it."""
    index = {address: at for at, (address, _, _) in enumerate(body)}
    before = [[] for _ in body]
    for at, (_, mnemonic, operands) in enumerate(body):
        if mnemonic.startswith("j"):
            target = re.match(r"[0-9a-f]+", operands)
            if target and int(target[0], 16) in index:
                before[index[int(target[0], 16)]].append(at)
        if mnemonic not in ("jmp", "ret", "ud2", "int3") and at + 1 < len(body):
            before[at + 1].append(at)
    # Who dominates whom, as bits of an integer.
    everyone = (1 << len(body)) - 1
    dominators, changed = [1] + [everyone] * (len(body) - 1), True
    while changed:
        changed = False
        for at in range(1, len(body)):
            over = everyone
            for earlier in before[at]:
                over &= dominators[earlier]
            over |= 1 << at
            changed, dominators[at] = changed or over != dominators[at], over
    loops = {}
    for header, sources in enumerate(before):
        back = [at for at in sources if dominators[at] >> header & 1 and dominators[at] != everyone]
        if back:
            loop, open_ends = {header}, back
            while open_ends:
                at = open_ends.pop()
                if at not in loop:
                    loop.add(at)
                    open_ends.extend(before[at])
            loops[header] = loop
    return list(loops.values())


def hot_loops(name, body):
    """The loops around the products of a function: {(loop, "avx512"): (vpdpbusd, others)}.

    Of the innermost loops with `vpdpbusd` that with the most different sums counts: the full tile. A loop around it that
    turns sums to floats is that of a group; with one column, the outermost is that of a block of weights.
    """
    has = lambda loop, mnemonic: any(body[at][1] == mnemonic for at in loop)
    sums = lambda loop: len({body[at][2].split(",")[-1] for at in loop if body[at][1] == "vpdpbusd"})
    around = sorted((loop for loop in natural_loops(body) if has(loop, "vpdpbusd")), key=len)
    innermost = [loop for loop in around if not any(other < loop for other in around)]
    hot = max(innermost, key=sums)
    around = [loop for loop in around if hot <= loop]
    named = {"step": hot, "group": next(loop for loop in around if has(loop, "vcvtdq2ps"))}
    if "1 column" in name:
        named["block"] = around[-1]
    counts = {}
    for what, loop in named.items():
        if loop not in [named[other] for other in list(named)[list(named).index(what) + 1 :]]:
            dots = sum(body[at][1] == "vpdpbusd" for at in loop)
            others = sum(not body[at][1].startswith(("nop", "data16", "cs", "vpdpbusd")) for at in loop)
            counts[f"{name}: {what}", "avx512"] = (dots, others)
    return counts


def count():
    """All counts that this machine can make, in the order of the table."""
    program, counts = build(), {}
    if shutil.which("valgrind"):
        with ThreadPoolExecutor() as pool:
            for part in pool.map(lambda isa: calls(program, isa), SETS):
                counts.update(part)
    else:
        print("valgrind: not to be had, skipped")
    if shutil.which("objdump"):
        for name, body in sorted(functions(program), key=lambda function: function[0]):
            counts.update(hot_loops(name, body))
        if not any(isa == "avx512" for _, isa in counts):
            sys.exit("no products of AVX-512 in the disassembly: have their names changed?")
    else:
        print("objdump: not to be had, skipped")
    return counts


def write(counts):
    lines = [HEAD + versions(), "", CALLS, f"{'kernel':34}" + "".join(f"{isa:>12}" for isa in SETS)]
    for kernel in dict.fromkeys(kernel for kernel, isa in counts if isa in SETS):
        lines.append(f"{kernel:34}" + "".join(f"{counts[kernel, isa][0]:12}" for isa in SETS))
    lines += ["", LOOPS, f"{'loop':34}{'vpdpbusd':>12}{'others':>12}"]
    for (loop, isa), numbers in counts.items():
        if isa == "avx512":
            lines.append(f"{loop:34}" + "".join(f"{number:12}" for number in numbers))
    with open(TABLE, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def read():
    """The table, and the line that says what it was made with."""
    counts, isas, made_with = {}, None, ""
    with open(TABLE, encoding="utf-8") as file:
        for line in file.read().splitlines():
            if line.startswith("# rustc"):
                made_with = line
            elif row := re.match(r"(.*?) +(\d+) +(\d+)$", line):
                numbers = int(row[2]), int(row[3])
                if isas:
                    counts.update({(row[1], isa): (number,) for isa, number in zip(isas, numbers)})
                else:
                    counts[row[1], "avx512"] = numbers
            elif line.startswith(("kernel", "loop")):
                isas = line.split()[1:] if line.startswith("kernel") else None
    return counts, made_with


def differences(before, now):
    """Lines about what is worse than in the table or not in it, and about what is better."""
    cost = lambda numbers: numbers[-1] / (numbers[0] if len(numbers) > 1 else 1)
    shown = lambda numbers: " + ".join(map(str, numbers))
    worse, better = [], []
    counted = {isa for _, isa in now}
    for key in dict.fromkeys([*before, *now]):
        what = f"{key[1]:8}{key[0]:34}"
        if key not in now:
            if key[1] in counted:
                worse.append(f"{what} is in the table, but there is no such kernel or loop")
        elif key not in before:
            worse.append(f"{what} is not in the table: {shown(now[key])}")
        else:
            change = cost(now[key]) / cost(before[key]) - 1
            line = f"{what} {shown(before[key])} -> {shown(now[key])} ({change:+.1%})"
            if abs(change) > TOLERANCE:
                (worse if change > 0 else better).append(line)
    return worse, better


def main():
    renew = sys.argv[1:] == ["--renew"]
    if sys.argv[1:] and not renew:
        sys.exit(__doc__)
    now = count()
    if renew:
        missing = {*SETS, "avx512"} - {isa for _, isa in now}
        if missing:
            sys.exit(f"the table needs all sets; not counted: {', '.join(sorted(missing))}")
        return write(now)
    before, made_with = read()
    worse, better = differences(before, now)
    for title, lines in [("More than in the table, or not in both:", worse), ("Fewer:", better)]:
        print("\n  ".join([title, *lines]) if lines else f"{title} none of {len(now)}")
    if worse or better:
        print("If that is meant, write the table anew: python3 crates/kernels/instructions.py --renew")
    if made_with != versions():
        print(f"The table was made with {made_with[2:]}; this is {versions()[2:]}. So this does not fail.")
    elif worse:
        sys.exit(1)


if __name__ == "__main__":
    main()
