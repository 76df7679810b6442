"""Medians, tables, and the machine they were measured on."""

import datetime
import os
import pathlib
import platform
import re
import statistics

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def machine():
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", info)
    return {"cpu": model.group(1) if model else platform.machine(), "cores": os.cpu_count(),
            "kernel": f"{platform.system()} {platform.release()}"}


def values(rounds, key):
    return [r[key] for r in rounds if r[key] is not None]


def spread(numbers, digits):
    if not numbers:
        return "–"
    low, middle, high = min(numbers), statistics.median(numbers), max(numbers)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


def ratio(rounds, baseline):
    """Round by round, so that what slows the machine down slows both."""
    pairs = zip(values(rounds, "cpu_us"), values(baseline, "cpu_us"))
    return [a / b for a, b in pairs]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def cpu_table(results, peers):
    """`results[workload][peer]` is a list of rounds."""
    measured = [p for p in peers if p.measured]
    pairs = [(p, b) for p in peers for b in peers
             if p.has_fields and b.name == p.name.replace("mongoward", "haproxy")]
    head = ["CPU µs per operation"] + [p.title for p in measured]
    head += [f"{p.title} / {b.title}" for p, b in pairs]
    rows = []
    for workload, of in results.items():
        row = [str(workload)] + [spread(values(of[p.name], "cpu_us"), 1) for p in measured]
        row += [spread(ratio(of[p.name], of[b.name]), 2) for p, b in pairs]
        rows.append(row)
    return table(head, rows)


def throughput_table(results, peers):
    head = ["operations per second"] + [p.title for p in peers]
    return table(head, [
        [str(workload)] + [spread(values(of[p.name], "per_second"), 0) for p in peers]
        for workload, of in results.items()])


def disturbed(results, limit):
    """How many runs others disturbed, and of how many."""
    foreign = [r["foreign"] for of in results.values() for runs in of.values() for r in runs]
    return sum(f >= limit for f in foreign), len(foreign)


def markdown(results, peers, rounds, command, limit):
    m = machine()
    bad, runs = disturbed(results, limit)
    return "\n".join([
        f"{datetime.date.today()}, {m['cpu']}, {m['cores']} cores, {m['kernel']}; `{command}`; "
        f"median (least–most) of {rounds} interleaved rounds. In {bad} of {runs} runs other "
        f"processes used over {limit:.0%} of a core.", "",
        *cpu_table(results, peers), "", *throughput_table(results, peers)]) + "\n"


def rewrite(path, text):
    """Puts `text` between the two marker lines of the file."""
    before = path.read_text(encoding="utf-8")
    head, found_begin, rest = before.partition(BEGIN + "\n")
    _, found_end, tail = rest.partition(END)
    if not found_begin or not found_end:
        raise SystemExit(f"{path}: no lines {BEGIN} and {END}")
    path.write_text(head + BEGIN + "\n" + text + END + tail, encoding="utf-8")


def as_json(results, rounds, command):
    return {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": machine(), "command": command, "rounds": rounds,
            "results": {str(workload): of for workload, of in results.items()}}
