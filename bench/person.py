#!/usr/bin/env python3
"""Measures erasing one person from thirty nightly snapshots of a generated database.

The database is that of `run.py` (`workload.sql`, `night.sql`). The person has about fifty rows in four tables. Printed are: the unique
plaintext that was searched, each stored piece once, and how much of it a core does in a second; the bytes written beside those of the
repository; what the next ordinary night uploads beside those before; and the peak resident memory (VmHWM) of the program alone. Before the
erasure, what two nights differ in and one row of every night are looked for. Nothing is judged.

    LACRE_BIN=target/release/lacre python3 bench/person.py                         about 230 MB a night, thirty nights
    LACRE_BIN=target/release/lacre python3 bench/person.py --scale 1 --nights 30   about 1.1 GB a night
    LACRE_BIN=target/release/lacre python3 bench/person.py --scale 0.02 --nights 4 does everything work?
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from run import HERE, MB, Database, Failed, say

RULES = """
version = 1
[subject.user]
root = "public.users"
key = "id"
identifiers = ["email", "name"]
[[subject.user.table]]
name = "public.birth_charts"
via = "user_id"
action = "delete"
[[subject.user.table]]
name = "public.oauth_connections"
via = "user_id"
action = "delete"
[[subject.user.table]]
name = "public.audit_logs"
via = "user_id"
action = "null"
columns = { payload = "json-remove:ip" }
"""


# Above these a run would take hours and most of a disk.
SCALE_MAX, NIGHTS_MAX = 1.0, 60
PERSON = 4711
# A command that has not ended by then never will.
PATIENCE = 3600


class Measured:
    """One command: seconds, processor seconds, the high water mark of its own memory, its document. `codes` are the exits that are well."""

    def __init__(self, env, codes, *command):
        errors, start = tempfile.TemporaryFile(), time.perf_counter()
        child = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        self.peak, ended = 0.0, threading.Event()
        watch = threading.Thread(target=self.watch, args=(child.pid, ended))
        guard = threading.Timer(PATIENCE, child.kill)
        watch.start(), guard.start()
        out = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        ended.set(), guard.cancel(), watch.join()
        child.returncode = os.waitstatus_to_exitcode(status)
        self.wall, self.cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
        if child.returncode not in codes:
            errors.seek(0)
            raise Failed(f"exit {child.returncode} from: {' '.join(command)}\n{errors.read().decode(errors='replace')[-2000:]}")
        self.document = json.loads(out) if "--json" in command else {}

    def watch(self, pid, ended):
        """VmHWM only grows, so the last look before the end says it; the programs that are started do not count."""
        while not ended.wait(0.005):
            try:
                with open(f"/proc/{pid}/status") as text:
                    lines = [line.split() for line in text if line.startswith("VmHWM:")]
            except OSError:
                return
            if lines:
                self.peak = int(lines[0][1]) * 1024 / MB


def size(folder):
    return sum(os.path.getsize(os.path.join(place, file)) for place, _, files in os.walk(folder) for file in files)


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--scale", type=float, default=0.2, help="1 is about 1.1 GB")
    words.add_argument("--nights", type=int, default=30)
    words = words.parse_args()
    if not 0.02 <= words.scale <= SCALE_MAX or not 2 <= words.nights <= NIGHTS_MAX:
        raise Failed(f"--scale is 0.02 to {SCALE_MAX:g} and --nights 2 to {NIGHTS_MAX}")
    lacre = os.environ.get("LACRE_BIN") or shutil.which("lacre")
    if not lacre:
        raise Failed("lacre was not found\n\nhint: make release, then LACRE_BIN=.../lacre")
    database = Database(words.scale)
    folder = tempfile.mkdtemp(prefix="lacre-person.", dir=os.environ.get("LACRE_BENCH_DIR"))
    env = os.environ | {"LACRE_REPO": f"{folder}/repo", "LACRE_HOME": f"{folder}/home", "PATH": f"{database.bin}:{os.environ['PATH']}"}
    database.start()
    try:
        measure(words, lacre, database, folder, env)
    finally:
        database.stop()
        shutil.rmtree(folder, ignore_errors=True)


def measure(words, lacre, database, folder, env):
    rules, key = f"{folder}/rules.toml", f"{folder}/key"
    database.sql("-d", "postgres", "-c", "drop database if exists astro", "-c", "create database astro template template0")
    Measured(env, [0], lacre, "init", "--no-kit")
    usual = []
    for night in range(1, words.nights + 1):
        day(database, words.scale, night)
        made = Measured(env, [0], lacre, "backup", "--postgres", database.url(), "--json")
        usual.append(made.document["bytes_stored"])
        say(f"  night {night}: {made.document['bytes_read'] / MB:.0f} MB read, {usual[-1] / MB:.2f} MB stored")
    with open(rules, "w") as out:
        out.write(RULES)
    with open(key, "w") as out:
        out.write(f"{PERSON}\n")
    before = size(f"{folder}/repo")
    find(lacre, env)
    command = [lacre, "erase", "person", "--rules", rules, "--subject", "user", "--key-file", key]
    plan = Measured(env, [0], *command, "--dry-run", "--json")
    erased = Measured(env, [0, 5], *command, "--yes", "--json")
    after = size(f"{folder}/repo")
    database.sql("-d", database.url(), "-c", f"delete from birth_charts where user_id = {PERSON}", "-c", f"delete from oauth_connections where user_id = {PERSON}",
                 "-c", f"update audit_logs set user_id = null, payload = (payload::jsonb - 'ip')::json where user_id = {PERSON}", "-c", f"delete from users where id = {PERSON}")
    day(database, words.scale, words.nights + 1)
    following = Measured(env, [0], lacre, "backup", "--postgres", database.url(), "--json")
    settled = Measured(env, [0, 5], lacre, "erase", "resume", "--json")
    report(plan, erased, following, settled, before, after, usual)


def find(lacre, env):
    """Two nights compared, and one row through all nights: medians of three."""
    nights = [entry["snapshot"] for entry in sorted(Measured(env, [0], lacre, "snapshots", "--json").document["snapshots"], key=lambda entry: entry["time"])]
    for words in (["diff", nights[-2], nights[-1]], ["history", "public.birth_charts", "--where", f"id={PERSON}"]):
        runs = [Measured(env, [0], lacre, *words) for _ in range(3)]
        say(f"{words[0]} of {2 if words[0] == 'diff' else len(nights)} nights: {statistics.median(run.wall for run in runs):.2f} s wall, "
            f"{statistics.median(run.cpu for run in runs):.2f} processor seconds, VmHWM {max(run.peak for run in runs):.0f} MB")


def day(database, scale, number):
    """What happens to the database before a night; on the first, one person gets about fifty rows, spread over the tables."""
    script, variable = ("workload.sql", f"scale={scale}") if number == 1 else ("night.sql", f"day={number}")
    with open(os.path.join(HERE, script)) as text:
        database.feed(text, variable)
    if number == 1:
        for table, salt, rows in (("birth_charts", 77, 15), ("audit_logs", 78, 30)):
            chosen = f"select id from {table} order by dice(id, {salt}), id limit {rows}"
            database.sql("-d", database.url(), "-c", f"update {table} set user_id = {PERSON} where id in ({chosen})")


def report(plan, erased, following, settled, before, after, usual):
    rows = {entry["old"]: entry["rows_removed"] for entry in erased.document["snapshots"]}
    changed = sum(entry["changed"] for entry in erased.document["tables"])
    searched, written = plan.document["bytes_read"] / MB, erased.document["bytes_written"] / MB
    state = settled.document["erasures"][0]["state"]
    say(f"snapshots {len(rows)}, rows removed {min(rows.values())} to {max(rows.values())} each, changed {changed} in all; {state} after the next night")
    say(f"unique plaintext searched: {searched:.0f} MB in {plan.cpu:.2f} processor seconds: {searched / plan.cpu:.0f} MB/s per core (wall {plan.wall:.1f} s)")
    say(f"the whole erasure: {erased.cpu:.2f} processor seconds, {searched / erased.cpu:.0f} MB/s per core, wall {erased.wall:.1f} s")
    say(f"bytes rewritten: {written:.2f} MB, {100 * written * MB / before:.2f} % of a repository of {before / MB:.0f} MB; it grew by {(after - before) / MB:.2f} MB")
    say(f"next night: {following.document['bytes_stored'] / MB:.2f} MB stored; nights before {min(usual[1:]) / MB:.2f} to {max(usual[1:]) / MB:.2f} MB")
    say(f"VmHWM: plan {plan.peak:.0f} MB, erasure {erased.peak:.0f} MB")


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"error: {error}")
