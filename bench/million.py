#!/usr/bin/env python3
"""Measures the peak memory of every command on a repository of about a million chunks: two nights of a PostgreSQL database whose one large
table has 4 GB of rows, of which 0.5 % change between the nights. Shown are the high water mark of the program's own memory (VmHWM, without
that of the programs it starts) and the seconds of every command. Nothing is judged.

    LACRE_BIN=target/release/lacre python3 bench/million.py [--rows 36000000]      needs about 15 GB of disk
"""

import argparse
import json
import os
import shutil
import sys
import tempfile

from person import Measured, size
from run import MB, Database, Failed, Lacre, say

# About 110 bytes a row as pg_dump writes it, of which a third is random.
TABLE = """
create table public.orders as select n as id, timestamptz '2026-01-01' + n * interval '7 seconds' as at, case when n % 3 = 0 then 'open' else 'paid' end as state,
n * 7919 % 90000 / 100.0 as amount, md5(n::text) as token, 'note of order ' || n || ', customer ' || n * 31 % 50000 as note from generate_series(1, {rows}::bigint) n;
alter table public.orders add primary key (id);
"""
CHANGE = "update public.orders set note = note || ' again' where id % 200 = 7"
RULES = """
version = 1
[subject.order]
root = "public.orders"
key = "id"
identifiers = ["token"]
"""


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rows", type=int, default=36_000_000)
    words = words.parse_args()
    if not Lacre.found():
        raise Failed("lacre was not found\n\nhint: make release, then LACRE_BIN=.../lacre")
    lacre = os.environ.get("LACRE_BIN") or shutil.which("lacre")
    database = Database(0.01)
    folder = tempfile.mkdtemp(prefix="lacre-million.", dir=os.environ.get("LACRE_BENCH_DIR"))
    env = os.environ | {"LACRE_REPO": f"{folder}/repo", "LACRE_HOME": f"{folder}/home", "PATH": f"{database.bin}:{os.environ['PATH']}"}
    database.start()
    try:
        measure(lacre, words.rows, database, folder, env)
    finally:
        database.sql("-d", "postgres", "-c", "drop database if exists astro")
        database.stop()
        shutil.rmtree(folder, ignore_errors=True)


def measure(lacre, rows, database, folder, env):
    def show(name, *command, codes=(0,), sink=False):
        run = Measured(env, codes, *(["sh", "-c", 'exec "$@" > /dev/null', "sh"] if sink else []), lacre, *command)
        say(f"  {name:34} {run.peak:6.0f} MB {run.wall:8.2f} s")
        return run.document

    database.sql("-d", "postgres", "-c", "drop database if exists astro", "-c", "create database astro template template0")
    database.sql("-d", database.url(), "-c", TABLE.format(rows=rows))
    Measured(env, [0], lacre, "init", "--kit-file", f"{folder}/kit")
    made = show("first backup", "backup", "--postgres", database.url(), "--json")
    say(f"    {made['bytes_read'] / MB:.0f} MB read, {made['bytes_stored'] / MB:.0f} MB stored")
    show("unchanged backup", "backup", "--postgres", database.url())
    database.sql("-d", database.url(), "-c", CHANGE)
    show("changed backup", "backup", "--postgres", database.url())
    stats = show("repo stats", "repo", "stats", "--json")
    say(f"    {stats['chunks']} chunks in {stats['packs']} packs")
    show("restore to a pipe", "restore", "latest", "--stdout", sink=True)
    show("cat of the table", "cat", "latest", "public.orders", sink=True)
    database.sql("-d", "postgres", "-c", "drop database if exists restored")
    show("restore --create", "restore", "latest", "--to", f"postgres://postgres@127.0.0.1:{database.port}/restored", "--create", "--yes")
    database.sql("-d", "postgres", "-c", "drop database restored")
    show("repo check", "repo", "check")
    for level in ("2", "4", "5"):
        show(f"repo check --read-data, level {level}", "repo", "check", "--level", level, "--read-data")
    show("repo rebuild", "repo", "rebuild")
    def listed():
        found = Measured(env, [0], lacre, "snapshots", "--json").document["snapshots"]
        return [entry["snapshot"] for entry in sorted(found, key=lambda entry: entry["time"]) if entry["state"] == "live"]

    nights = listed()
    for name in ("snapshots", "show", "ls"):
        show(name, name, *([] if name == "snapshots" else [nights[-1]]))
    show("diff", "diff", nights[0], nights[-1])
    show("diff of the table's rows", "diff", nights[0], nights[-1], "--table", "public.orders")
    show("rows", "rows", nights[-1], "public.orders", "--where", f"id={rows // 2}")
    show("history", "history", "public.orders", "--where", f"id={rows // 2}")
    show("status", "status", codes=(0, 3))
    show("report", "report", "--html", f"{folder}/report.html")
    config = f"{folder}/copy.toml"
    with open(config, "w", opener=lambda name, flags: os.open(name, flags, 0o600), encoding="utf-8") as out:
        out.write(f'[[copy]]\nname = "second"\nurl = "{folder}/second"\n')
    show("copy sync", "--config", config, "copy", "sync")
    show("copy sync, nothing to do", "--config", config, "copy", "sync")
    with open(f"{folder}/rules.toml", "w") as out:
        out.write(RULES)
    with open(f"{folder}/key", "w") as out:
        out.write(f"{rows // 2}\n")
    show("erase person", "erase", "person", "--rules", f"{folder}/rules.toml", "--subject", "order", "--key-file", f"{folder}/key", "--yes", codes=(0, 5))
    show("erase snapshot", "erase", "snapshot", listed()[0], "--yes", codes=(0, 5))
    show("seal rotate", "seal", "rotate", codes=(0, 5))
    show("forget", "forget", "--keep-last", "1")
    show("repo prune", "repo", "prune", "--max-repack", "100%", "--min-dead", "0.1%", "--min-gain", "0%")
    show("repo repair", "repo", "repair")
    show("repo repair --from", "repo", "repair", "--from", f"{folder}/second")
    say(f"  repository {size(f'{folder}/repo') / MB:.0f} MB")


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"error: {failed}")
    except KeyboardInterrupt:
        sys.exit(130)
