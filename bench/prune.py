#!/usr/bin/env python3
"""Measures giving space back: eight nights of a table that changes are kept down to three, beside the backup tools found on this machine.

The dumps are generated here (no database is needed): every night half a percent of the rows changes and one percent is added, which is what
defeats large chunks. Every round gives every tool a new repository and the same eight nights, one tool after the other. Shown are the medians
of forgetting five nights and collecting the garbage, what was given back, and what a full check of the rest takes. It never judges a time.

    LACRE_BIN=target/release/lacre python3 bench/prune.py --megabytes 200 --rounds 3
"""

import argparse
import math
import multiprocessing
import os
import random
import shutil
import statistics
import sys
import tempfile

from run import MB, Borg, BorgSmall, Bupstash, Failed, Lacre, Restic, Rustic, say, warm

NIGHTS, KEPT = 8, 3


class PruneLacre(Lacre):
    """`usual` is what a person gets who types nothing else; `all` rewrites every pack with a dead byte in it."""

    limits = []

    def prune(self):
        forget = self.run(self.program, "forget", "--keep-last", str(KEPT))
        return forget, self.run(self.program, "repo", "prune", *self.limits)


class PruneLacreAll(PruneLacre):
    name, limits = "lacre-all", ["--max-repack", "100%", "--min-dead", "0.1%", "--min-gain", "0%"]


class PruneRestic(Restic):
    def prune(self):
        forget = self.run("restic", "-q", "forget", "--keep-last", str(KEPT))
        return forget, self.run("restic", "-q", "prune")


class PruneBorg(Borg):
    def prune(self):
        forget = self.run("borg", "prune", "--keep-last", str(KEPT))
        return forget, self.run("borg", "compact")


class PruneBorgSmall(BorgSmall):
    prune = PruneBorg.prune


class PruneRustic(Rustic):
    def prune(self):
        forget = self.run("rustic", "forget", "--keep-last", str(KEPT))
        return forget, self.run("rustic", "prune", "--instant-delete", "--keep-delete", "0s")


class PruneBupstash(Bupstash):
    def prune(self):
        old = [word for day in range(1, NIGHTS - KEPT + 1) for word in ("or", f"day={day}")][1:]
        forget = self.run("bupstash", "rm", "--allow-many", *old)
        return forget, self.run("bupstash", "gc", "-q")


TOOLS = [PruneLacre, PruneLacreAll, PruneRestic, PruneBorg, PruneBorgSmall, PruneRustic, PruneBupstash]


def row(number, dice):
    """About 110 bytes that compress as rows of a shop do."""
    words = ("paid", "open", "sent", "returned")
    return b"%d\t2026-%02d-%02d %02d:%02d:%02d\t%s\t%d.%02d\t%032x\tnote of order %d, customer %d\n" % (
        number, dice.randrange(1, 13), dice.randrange(1, 29), dice.randrange(24), dice.randrange(60), dice.randrange(60),
        words[dice.randrange(4)].encode(), dice.randrange(900), dice.randrange(100), dice.getrandbits(128), number, dice.randrange(50_000))


def nights(folder, megabytes):
    """The paths of the dumps, made from one seed."""
    dice = random.Random(20261122)
    rows = [row(number, dice) for number in range(megabytes * 9_000)]
    paths = []
    for night in range(1, NIGHTS + 1):
        if night > 1:
            for _ in range(len(rows) // 200):
                changed = dice.randrange(len(rows))
                rows[changed] = row(changed, dice)
            rows.extend(row(number, dice) for number in range(len(rows), len(rows) + len(rows) // 100))
        path = os.path.join(folder, f"night{night}.sql")
        with open(path, "wb") as out:
            out.write(b"COPY public.orders (id, at, state, amount, token, note) FROM stdin;\n")
            out.writelines(rows)
            out.write(b"\\.\n")
        paths.append(path)
        say(f"  night {night}: {os.path.getsize(path) / MB:.0f} MB")
    return paths


def measure(tool, paths, results):
    def note(what, value):
        results.setdefault((what, tool.name), []).append(value)

    tool.create()
    for night, path in enumerate(paths, 1):
        warm(path)
        tool.backup(night, path)
    before = tool.stored()
    forget, prune = tool.prune()
    after = tool.stored()
    if tool.restore(len(paths)).printed != os.path.getsize(paths[-1]):
        raise Failed(f"{tool.name}: the last night does not come back whole")
    note("forget s", forget.wall)
    note("prune s", prune.wall)
    note("both s", forget.wall + prune.wall)
    note("peak MB", max(forget.peak_mb, prune.peak_mb))
    note("before MB", before / MB)
    note("after MB", after / MB)
    check = tool.check()
    note("check s", check.wall if check else math.nan)
    say(f"    forget {forget.wall:6.2f} s  prune {prune.wall:6.2f} s  {before / MB:8.1f} MB -> {after / MB:8.1f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=200, help="length of the first dump")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tools", help="comma-separated; default: all that are found")
    arguments = parser.parse_args()
    chosen = [tool for tool in TOOLS if tool.found() and (not arguments.tools or tool.name in arguments.tools.split(","))]
    if not chosen:
        raise Failed("no tool was found\n\nhint: LACRE_BIN=target/release/lacre")
    results = {}
    with tempfile.TemporaryDirectory(prefix="lacre-prune-") as folder:
        # In another process: what a program inherits of the memory of the one that starts it counts as its own.
        with multiprocessing.Pool(1) as maker:
            paths = maker.apply(nights, (folder, arguments.megabytes))
        for number in range(1, arguments.rounds + 1):
            for kind in chosen:
                say(f"  round {number}, {kind.name}")
                place = tempfile.mkdtemp(dir=folder)
                measure(kind(place), paths, results)
                shutil.rmtree(place)
    show(chosen, results)


def show(chosen, results):
    print(f"{NIGHTS} nights kept down to {KEPT}; medians")
    columns = ["forget s", "prune s", "both s", "peak MB", "before MB", "after MB", "check s"]
    print("| tool | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for tool in chosen:
        print(f"| {tool.name} | " + " | ".join(f"{statistics.median(results[(column, tool.name)]):.2f}" for column in columns) + " |")


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"error: {failed}")
    except KeyboardInterrupt:
        sys.exit(130)
