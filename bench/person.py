#!/usr/bin/env python3
"""Measures erasing one person from thirty nightly snapshots of a generated database.

The database is that of `run.py` (`workload.sql`, `night.sql`). The person has rows in four tables and about fifty of them. Shown are the plaintext
that was searched, each stored piece once, and the processor seconds it took; the bytes written beside those of the repository; the peak
memory; and what the next backup uploads beside a night before. Nothing is judged.

    LACRE_BIN=target/release/lacre python3 bench/person.py --scale 0.2 --nights 30
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
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


class Measured:
    """One command: seconds, peak memory, its document. `codes` are the exits that are well."""

    def __init__(self, env, codes, *command):
        start = time.perf_counter()
        child = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, errors = child.stdout.read(), child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        self.wall, self.cpu, self.peak = time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / MB
        if child.returncode not in codes:
            raise Failed(f"exit {child.returncode} from: {' '.join(command)}\n{errors.decode()[-2000:]}")
        self.document = json.loads(out) if out.strip() else {}


def size(folder):
    return sum(os.path.getsize(os.path.join(place, file)) for place, _, files in os.walk(folder) for file in files)


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--scale", type=float, default=0.2, help="1 is about 1.1 GB")
    words.add_argument("--nights", type=int, default=30)
    words = words.parse_args()
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
        script, variable = ("workload.sql", f"scale={words.scale}") if night == 1 else ("night.sql", f"day={night}")
        with open(os.path.join(HERE, script)) as text:
            database.feed(text, variable)
        if night == 1:
            # One person with about fifty rows, spread over the tables.
            database.sql("-d", database.url(), "-c", "update birth_charts set user_id = 4711 where id % 10007 = 3", "-c", "update audit_logs set user_id = 4711 where id % 12007 = 5")
        made = Measured(env, [0], lacre, "backup", "--postgres", database.url(), "--json")
        usual.append(made.document["bytes_stored"])
        say(f"  night {night}: {made.document['bytes_read'] / MB:.0f} MB read, {usual[-1] / MB:.2f} MB stored")
    with open(rules, "w") as out:
        out.write(RULES)
    with open(key, "w") as out:
        out.write("4711\n")
    before = size(f"{folder}/repo")
    words = ["erase", "person", "--rules", rules, "--subject", "user", "--key-file", key]
    plan = Measured(env, [0], lacre, *words, "--dry-run", "--json")
    erased = Measured(env, [0, 5], lacre, *words, "--yes", "--json")
    database.sql("-d", database.url(), "-c", "delete from birth_charts where user_id = 4711", "-c", "delete from oauth_connections where user_id = 4711",
                 "-c", "update audit_logs set user_id = null, payload = (payload::jsonb - 'ip')::json where user_id = 4711", "-c", "delete from users where id = 4711")
    following = Measured(env, [0], lacre, "backup", "--postgres", database.url(), "--json")
    report(plan, erased, following, before, usual)


def report(plan, erased, following, before, usual):
    rows = {entry["old"]: entry["rows_removed"] for entry in erased.document["snapshots"]}
    changed = sum(entry["changed"] for entry in erased.document["tables"])
    searched, written = plan.document["bytes_read"] / MB, erased.document["bytes_written"] / MB
    say(f"snapshots {len(rows)}, rows removed {min(rows.values())} to {max(rows.values())} each, changed {changed} in all")
    say(f"searched {searched:.0f} MB of plaintext, each stored piece once: plan {plan.cpu:.2f} processor seconds, {searched / plan.cpu:.0f} MB/s a core, {plan.wall:.1f} s")
    say(f"erasure with the plan inside: {erased.cpu:.2f} processor seconds, {erased.wall:.1f} s, peak memory {erased.peak:.0f} MB (plan {plan.peak:.0f} MB)")
    say(f"written {written:.2f} MB, {100 * written * MB / before:.2f} % of a repository of {before / MB:.0f} MB")
    say(f"the next night stored {following.document['bytes_stored'] / MB:.2f} MB; nights before {min(usual[1:]) / MB:.2f} to {max(usual[1:]) / MB:.2f} MB")


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"error: {error}")
