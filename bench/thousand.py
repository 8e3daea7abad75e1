#!/usr/bin/env python3
"""Measures what a repository with a thousand snapshots costs: `status`, `report`, `snapshots`, and erasing one of them.

A thousand nights of a small table are backed up from files (0.5 % of its rows change a night), under ten jobs. Every command is run a few
times; shown are medians of wall and processor seconds, and the largest peak resident memory. For the erasure, packs are compared before and
after by name, length and time of change, so that a pack that was written shows. Nothing is judged.

    LACRE_BIN=target/release/lacre python3 bench/thousand.py [--snapshots 1000] [--rounds 5]
"""

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile

from prune import row
from run import MB, Failed, Lacre, say

JOBS, ROWS = 10, 2_000


def packs(repository):
    """Length and time of change of every pack, by name."""
    found = {}
    for folder, _, names in os.walk(os.path.join(repository, "packs")):
        for name in names:
            about = os.lstat(os.path.join(folder, name))
            found[name] = (about.st_size, about.st_mtime_ns)
    return found


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--snapshots", type=int, default=1_000)
    words.add_argument("--rounds", type=int, default=5)
    words = words.parse_args()
    if not Lacre.found():
        raise Failed("lacre was not found\n\nhint: make release, then LACRE_BIN=.../lacre")
    folder = tempfile.mkdtemp(prefix="lacre-thousand.", dir=os.environ.get("LACRE_BENCH_DIR"))
    try:
        measure(words, Lacre(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fill(tool, snapshots):
    dice = random.Random(20261201)
    rows = [row(number, dice) for number in range(ROWS)]
    path = os.path.join(tool.folder, "night.sql")
    for night in range(1, snapshots + 1):
        for _ in range(ROWS // 200):
            changed = dice.randrange(ROWS)
            rows[changed] = row(changed, dice)
        with open(path, "wb") as out:
            out.write(b"COPY public.orders (id, at, state, amount, token, note) FROM stdin;\n")
            out.writelines(rows)
            out.write(b"\\.\n")
        tool.run(tool.program, "backup", "--file", f"job{night % JOBS}={path}")
        if night % 250 == 0:
            say(f"  {night} snapshots, {tool.stored() / MB:.1f} MB")


def measure(words, tool):
    tool.create()
    fill(tool, words.snapshots)
    page = os.path.join(tool.folder, "report.html")
    # `status` exits with 3 where it finds something to do, here that nothing was ever drilled.
    for name, command, codes in (("status", [], (0, 3)), ("snapshots", [], (0,)), ("report", ["--html", page], (0,))):
        show(name, [tool.run(tool.program, name, *command, codes=codes) for _ in range(words.rounds)])
    say(f"report: {os.path.getsize(page) / MB:.2f} MB")
    listed = json.loads(tool.run(tool.program, "snapshots", "--json", keep=True).output)["snapshots"]
    # Each is one that others before and after it share frames with.
    chosen = [entry["snapshot"] for entry in sorted(listed, key=lambda entry: entry["time"])][len(listed) // 2:][:words.rounds]
    before = packs(tool.repository)
    # 5: erased, and something it waits for is pending, as the next night of each writer.
    show("erase snapshot", [tool.run(tool.program, "erase", "snapshot", snapshot, "--yes", codes=(0, 5)) for snapshot in chosen])
    after = packs(tool.repository)
    say(f"packs before {len(before)}, after {len(after)}; untouched {sum(after.get(name) == about for name, about in before.items())}")


def show(name, runs):
    say(f"{name}: {statistics.median(run.wall for run in runs):.3f} s wall, {statistics.median(run.cpu for run in runs):.3f} processor seconds, "
        f"peak {max(run.peak_mb for run in runs):.0f} MB")


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"error: {failed}")
    except KeyboardInterrupt:
        sys.exit(130)
