#!/usr/bin/env python3
"""Measures Lacre beside pg_dump and beside the backup tools found on this machine, and prints tables. It never judges a time.

A PostgreSQL database is generated once and dumped on eight days (bench/workload.sql, bench/night.sql); the dumps and the database are kept
under ~/.cache/lacre/bench, or under /var/tmp when the database's account cannot reach that. Every round gives every tool a new repository
and runs the same operations, one tool after the other, so that a busy machine is busy for all of them. Shown are medians.

    make bench                              1 GB, three rounds, every tool found
    make bench ARGS='--quick'               a small database, one round: does everything work?
    make bench ARGS='--scale 4 --tools lacre --no-live'
"""

import argparse
import glob
import json
import os
import pwd
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MB = 1_000_000
PASSWORD = "the benchmark's own password"


class Failed(Exception):
    """Something the benchmark needs did not work; the text says what and what to do."""


class Run:
    """One measured command: wall and processor seconds, peak memory of its largest process, bytes it printed, its output if kept. `codes` are well."""

    def __init__(self, command, env, cwd, keep=False, source=None, codes=(0,)):
        errors = tempfile.TemporaryFile()
        start = time.perf_counter()
        stdin = open(source, "rb") if source else subprocess.DEVNULL
        child = subprocess.Popen(command, env=env, cwd=cwd, stdin=stdin, stdout=subprocess.PIPE, stderr=errors)
        kept, self.printed, buffer = [], 0, bytearray(1 << 20)
        while size := child.stdout.readinto1(buffer):
            self.printed += size
            if keep:
                kept.append(bytes(buffer[:size]))
        _, status, usage = os.wait4(child.pid, 0)
        self.wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak_mb = usage.ru_maxrss * 1024 / MB
        self.output = b"".join(kept)
        if child.returncode not in codes:
            errors.seek(0)
            words = errors.read().decode(errors="replace").strip()[-2000:]
            raise Failed(f"exit {child.returncode} from: {' '.join(command)}\n{words}")


class Tool:
    """What a tool is told to do; a subclass knows its commands. All work in a folder of their own with an otherwise empty environment."""

    name = "?"
    needs = []

    def __init__(self, folder):
        self.folder = folder
        self.repository = os.path.join(folder, "repository")
        self.env = {"HOME": os.path.join(folder, "home"), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        os.makedirs(self.env["HOME"])

    @classmethod
    def found(cls):
        return all(shutil.which(program) for program in cls.needs)

    def run(self, *command, **options):
        return Run(list(command), self.env, self.folder, **options)

    def stored(self):
        return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(self.repository) for name in names)


class Lacre(Tool):
    name = "lacre"

    def __init__(self, folder):
        super().__init__(folder)
        self.program = os.environ.get("LACRE_BIN") or shutil.which("lacre")
        self.env |= {"LACRE_REPO": self.repository, "LACRE_HOME": os.path.join(folder, "keys")}

    @classmethod
    def found(cls):
        return bool(os.environ.get("LACRE_BIN") or shutil.which("lacre"))

    @classmethod
    def version(cls):
        return subprocess.run([os.environ.get("LACRE_BIN", "lacre"), "--version"], capture_output=True, text=True).stdout.strip()

    def create(self):
        self.run(self.program, "init", "--kit-file", os.path.join(self.folder, "kit"))

    def reported(self, run):
        """The program's own account of its memory is its alone; the system's covers the programs it started."""
        run.peak_mb = json.loads(run.output)["peak_memory_bytes"] / MB
        return run

    def backup(self, day, path):
        return self.reported(self.run(self.program, "backup", "--file", f"astro={path}", "--json", keep=True))

    def backup_live(self, url):
        return self.reported(self.run(self.program, "backup", "--postgres", url, "--json", keep=True))

    def restore(self, day):
        return self.run(self.program, "restore", "latest", "--stdout")

    def check(self):
        return self.run(self.program, "repo", "check", "--read-data")


class Restic(Tool):
    name, needs = "restic", ["restic"]

    def __init__(self, folder):
        super().__init__(folder)
        self.env |= {"RESTIC_REPOSITORY": self.repository, "RESTIC_PASSWORD": PASSWORD, "RESTIC_CACHE_DIR": os.path.join(folder, "cache")}

    @classmethod
    def version(cls):
        return subprocess.run(["restic", "version"], capture_output=True, text=True).stdout.strip()

    def create(self):
        self.run("restic", "-q", "init")

    def backup(self, day, path):
        return self.run("restic", "-q", "backup", "--stdin", "--stdin-filename", "db.sql", source=path)

    def restore(self, day):
        return self.run("restic", "-q", "dump", "latest", "db.sql")

    def check(self):
        return self.run("restic", "-q", "check", "--read-data")


class Borg(Tool):
    name, needs = "borg", ["borg"]
    cutter = []

    def __init__(self, folder):
        super().__init__(folder)
        self.env |= {"BORG_REPO": self.repository, "BORG_PASSPHRASE": PASSWORD, "BORG_BASE_DIR": os.path.join(folder, "base")}

    @classmethod
    def version(cls):
        return subprocess.run(["borg", "--version"], capture_output=True, text=True).stdout.strip()

    def create(self):
        self.run("borg", "init", "--encryption", "repokey-blake2")

    def backup(self, day, path):
        return self.run("borg", "create", "--compression", "zstd,3", *self.cutter, "--stdin-name", "db.sql", f"::{day}-{time.monotonic_ns()}", "-", source=path)

    def restore(self, day):
        last = self.run("borg", "list", "--last", "1", "--short", keep=True).output.decode().strip()
        return self.run("borg", "extract", "--stdout", f"::{last}")

    def check(self):
        return self.run("borg", "check", "--verify-data")


class BorgSmall(Borg):
    name, cutter = "borg-64k", ["--chunker-params", "buzhash,14,20,16,4095"]


class Rustic(Tool):
    name, needs = "rustic", ["rustic"]

    def __init__(self, folder):
        super().__init__(folder)
        self.env |= {"RUSTIC_REPOSITORY": self.repository, "RUSTIC_PASSWORD": PASSWORD, "RUSTIC_CACHE_DIR": os.path.join(folder, "cache"), "RUSTIC_NO_PROGRESS": "true"}

    @classmethod
    def version(cls):
        return subprocess.run(["rustic", "--version"], capture_output=True, text=True).stdout.strip()

    def create(self):
        self.run("rustic", "init")

    def backup(self, day, path):
        # Without --force a second, different input under the same name is not stored.
        return self.run("rustic", "backup", "-", "--force", "--stdin-filename", "db.sql", source=path)

    def restore(self, day):
        return self.run("rustic", "dump", "latest:db.sql")

    def check(self):
        return self.run("rustic", "check", "--read-data")


class Bupstash(Tool):
    """It knows no audit of all data. A log of what was sent belongs to a source that keeps its name."""

    name, needs = "bupstash", ["bupstash"]

    def __init__(self, folder):
        super().__init__(folder)
        self.env |= {"BUPSTASH_REPOSITORY": self.repository, "BUPSTASH_KEY": os.path.join(folder, "key")}
        self.log = os.path.join(folder, "sent")

    @classmethod
    def version(cls):
        return subprocess.run(["bupstash", "version"], capture_output=True, text=True).stdout.strip()

    def create(self):
        self.run("bupstash", "init")
        self.run("bupstash", "new-key", "-o", self.env["BUPSTASH_KEY"])

    def backup(self, day, path):
        self.last = f"run={day}-{time.monotonic_ns()}"
        return self.run("bupstash", "put", "--no-progress", "--send-log", self.log, f"day={day}", self.last, "::", "-", source=path)

    def restore(self, day):
        return self.run("bupstash", "get", "-q", self.last)

    def check(self):
        return None


TOOLS = [Lacre, Restic, Borg, BorgSmall, Rustic, Bupstash]


class Database:
    """The generated database, in a cluster of its own that is kept between runs."""

    def __init__(self, scale):
        folders = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
        self.bin = os.environ.get("LACRE_TEST_PG_BIN") or (os.path.dirname(folders[-1]) if folders else None)
        if not self.bin:
            raise Failed("PostgreSQL was not found\n\nhint: tests/support/install.sh bench")
        self.scale, self.user, self.server = scale, None, None
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            self.user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
        self.base = self.place()
        self.data = os.path.join(self.base, "cluster")
        self.env = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": self.base, "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def place(self):
        """Where the dumps and the cluster are kept: the user's cache, or /var/tmp if the server's account cannot go there."""
        cache = os.environ.get("LACRE_BENCH_DIR") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "lacre/bench")
        os.makedirs(cache, exist_ok=True)
        if self.user and subprocess.run([*self.as_user(), "test", "-x", cache], cwd="/").returncode != 0:
            cache = "/var/tmp/lacre-bench"
            os.makedirs(cache, exist_ok=True)
        base = os.path.join(cache, f"scale-{self.scale:g}")
        os.makedirs(base, exist_ok=True)
        if self.user:
            os.chown(base, self.user.pw_uid, self.user.pw_gid)
        return base

    def as_user(self):
        return ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups", "--"] if self.user else []

    def call(self, *command, **options):
        done = subprocess.run([*self.as_user(), *command], cwd="/", env=self.env, capture_output=True, text=True, **options)
        if done.returncode != 0:
            raise Failed(f"exit {done.returncode} from: {' '.join(command)}\n{done.stderr.strip()[-2000:]}")
        return done.stdout

    def start(self):
        if not os.path.exists(os.path.join(self.data, "PG_VERSION")):
            shutil.rmtree(self.data, ignore_errors=True)
            self.call(f"{self.bin}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": self.base, "fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0",
                    "max_wal_size": "8GB", "shared_buffers": "512MB", "autovacuum": "off", "log_min_messages": "fatal"}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log = open(os.path.join(self.base, "log"), "wb")
        # The server must not outlive a benchmark that is killed.
        guard = ["setpriv", *(self.as_user()[1:-1]), "--pdeathsig", "KILL", "--"]
        self.server = subprocess.Popen([*guard, f"{self.bin}/postgres", "-D", self.data, "-p", str(self.port), *words], cwd="/", env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for _ in range(1200):
            if subprocess.run([f"{self.bin}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], env=self.env).returncode == 0:
                return
            if self.server.poll() is not None:
                break
            time.sleep(0.05)
        raise Failed(f"the database did not start\n\nhint: see {log.name}")

    def stop(self):
        if self.server and self.server.poll() is None:
            self.server.terminate()
            self.server.wait()

    def url(self):
        return f"postgres://postgres@127.0.0.1:{self.port}/astro"

    def sql(self, *words):
        return self.call(f"{self.bin}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", *words)

    def dump_path(self, day, form):
        return os.path.join(self.base, f"day{day}.{'dump' if form == 'custom' else 'sql'}")

    def dumps(self, days, form):
        """The paths of the dumps of days 1 to `days`, made now if they are not there."""
        paths = [self.dump_path(day, form) for day in range(1, days + 1)]
        present = self.sql("-d", "postgres", "-c", "select count(*) from pg_database where datname = 'astro'").strip() == "1"
        if present and all(os.path.exists(path) for path in paths):
            return paths
        say(f"generating {days} days at scale {self.scale:g} in {self.base} (kept for the next run)")
        self.sql("-d", "postgres", "-c", "drop database if exists astro", "-c", "create database astro template template0")
        for day, path in enumerate(paths, 1):
            script, variable = ("workload.sql", f"scale={self.scale}") if day == 1 else ("night.sql", f"day={day}")
            with open(os.path.join(HERE, script)) as text:
                self.feed(text, variable)
            words = ["-Fc", "-Z0"] if form == "custom" else ["-Fp", "--restrict-key=benchmark"] if self.knows_restrict_key() else ["-Fp"]
            with open(path + ".partial", "wb") as out:
                subprocess.run([f"{self.bin}/pg_dump", *words, self.url()], env=self.env, stdout=out, check=True)
            os.rename(path + ".partial", path)
            say(f"  day {day}: {os.path.getsize(path) / MB:.0f} MB")
        return paths

    def feed(self, text, variable):
        self.call(f"{self.bin}/psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-v", variable, "-d", self.url(), "-f", "-", stdin=text)

    def knows_restrict_key(self):
        return "--restrict-key" in self.call(f"{self.bin}/pg_dump", "--help")


def say(text):
    print(text, file=sys.stderr, flush=True)


def warm(path):
    with open(path, "rb") as file:
        while file.read(1 << 22):
            pass


def scenario(tool, paths, results):
    """One round of one tool: the first backup, the same again, a night for every further day, a restore and a full check."""

    def note(operation, run):
        results.setdefault((operation, tool.name), []).append(run)
        say(f"    {operation:<10} {run.wall:7.2f} s  {run.peak_mb:6.0f} MB")

    tool.create()
    warm(paths[0])
    note("initial", tool.backup(1, paths[0]))
    results.setdefault(("stored 1", tool.name), []).append(tool.stored())
    note("unchanged", tool.backup(1, paths[0]))
    for day, path in enumerate(paths[1:], 2):
        warm(path)
        note("night", tool.backup(day, path))
    results.setdefault(("stored n", tool.name), []).append(tool.stored())
    restored = tool.restore(len(paths))
    if restored.printed != os.path.getsize(paths[-1]):
        raise Failed(f"{tool.name} restored {restored.printed} bytes of {os.path.getsize(paths[-1])}")
    note("restore", restored)
    if check := tool.check():
        note("check", check)


def live(database, folder, results, rounds):
    """Backups of the running database beside what `pg_dump` alone takes, in turns."""
    env = database.env
    dump = [f"{database.bin}/pg_dump", "-Fc", "-Z0", database.url()]
    Run(["sh", "-c", 'exec "$@" >/dev/null', "sh", *dump], env, "/")
    for number in range(rounds):
        say(f"  live, round {number + 1}")
        tool = Lacre(os.path.join(folder, f"live-{number}"))
        tool.env["PATH"] = f"{database.bin}:{tool.env['PATH']}"
        tool.create()
        for operation in ("live first", "live again"):
            source = Run(["sh", "-c", 'exec "$@" >/dev/null', "sh", *dump], env, "/")
            run = tool.backup_live(database.url())
            results.setdefault((operation, "pg_dump"), []).append(source)
            results.setdefault((operation, "lacre"), []).append(run)
            say(f"    {operation:<10} {run.wall:7.2f} s  {run.peak_mb:6.0f} MB   pg_dump {source.wall:.2f} s")
        shutil.rmtree(tool.folder)


def median(runs, what):
    return statistics.median(getattr(run, what) for run in runs)


def table(head, rows):
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(zip(row, widths))) + " |")
    print()


# How many times as long as Lacre the fastest other tool is to take, if all is as intended.
GOALS = {"initial": 2.5, "unchanged": 5.0, "night": 5.0, "restore": 1.3, "check": 5.0}
OPERATIONS = tuple(GOALS)


def versus(results, names, operation, what):
    """Medians of each tool, how many times Lacre's the best other one is, and how many it should be."""
    row, base, best = [operation], None, None
    for name in names:
        runs = results.get((operation, name))
        if not runs:
            row.append("-")
            continue
        middle, values = median(runs, what), [getattr(run, what) for run in runs]
        if name == "lacre":
            base = middle
        else:
            best = middle if best is None else min(best, middle)
        spread = f" ({min(values):.2f}-{max(values):.2f})" if len(values) > 1 else ""
        row.append(f"{middle:.2f}{spread}" + ("" if name == "lacre" or not base else f" {middle / base:.1f}x"))
    return [*row, f"{best / base:.1f}x" if base and best else "-", f"{GOALS[operation]:.1f}x"]


def report(results, names, paths):
    if paths and any(operation == "initial" for operation, _ in results):
        size, days = os.path.getsize(paths[0]) / MB, len(paths)
        columns = ["operation", *names, "best other", "goal"]
        spread = "median (least-most); x: how many times as long as lacre"
        print(f"\nWall seconds on a dump of {size:.0f} MB, {spread}\n")
        table(columns, [versus(results, names, operation, "wall") for operation in OPERATIONS])
        print(f"Processor seconds (user and system, children with them), {spread}\n")
        table(columns, [versus(results, names, operation, "cpu") for operation in OPERATIONS])
        print("Bytes and memory\n")
        stored = {day: {name: statistics.median(results[(f"stored {day}", name)]) / MB for name in names} for day in ("1", "n")}
        others = [stored["n"][name] for name in names if name not in ("lacre", BorgSmall.name)]
        share = f"{stored['n']['lacre'] / min(others):.2f}" if "lacre" in names and others else "-"
        rows = [
            ["stored after day 1, MB", *(f"{stored['1'][name]:.1f}" for name in names), "-", "-"],
            [f"stored after day {days}, MB", *(f"{stored['n'][name]:.1f}" for name in names), f"{share} of it", "0.25"],
            ["peak memory, largest, MB", *(f"{max(run.peak_mb for (_, who), runs in results.items() if who == name for run in runs if isinstance(run, Run)):.0f}" for name in names), "-", "96"],
        ]
        table(["", *names, "best default", "goal"], rows)
    if ("live first", "lacre") in results:
        print("Backup of the running database beside `pg_dump -Fc -Z0 > /dev/null`\n")
        rows = []
        for operation in ("live first", "live again"):
            ours, source = median(results[(operation, "lacre")], "wall"), median(results[(operation, "pg_dump")], "wall")
            peak = max(run.peak_mb for run in results[(operation, "lacre")])
            rows.append([operation, f"{ours:.2f}", f"{source:.2f}", f"{ours / source:.2f}", f"{peak:.0f}"])
        table(["", "lacre s", "pg_dump s", "ratio", "peak MB"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="1 is about 1 GB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--days", type=int, default=8, help="the first backup and this many less one nights")
    parser.add_argument("--format", choices=["plain", "custom"], default="plain", help="what pg_dump writes into the files")
    parser.add_argument("--tools", help="comma-separated; default: all that are found")
    parser.add_argument("--no-live", action="store_true", help="leave the running database out")
    parser.add_argument("--no-files", action="store_true", help="leave the dump files out")
    parser.add_argument("--quick", action="store_true", help="scale 0.02, one round, three days")
    parser.add_argument("--json", help="write every single measurement into this file")
    options = parser.parse_args()
    if options.quick:
        options.scale, options.rounds, options.days = 0.02, 1, 3
    wanted = options.tools.split(",") if options.tools else None
    tools = [tool for tool in TOOLS if tool.found() and (wanted is None or tool.name in wanted)]
    if not tools:
        raise Failed("none of the tools was found\n\nhint: make release, then make bench; make bench INSTALL=1 installs others to compare with")
    for tool in tools:
        say(f"{tool.name}: {tool.version()}")
    database, results, paths = Database(options.scale), {}, []
    folder = tempfile.mkdtemp(prefix="lacre-bench-")
    try:
        database.start()
        dumps = database.dumps(options.days, options.format)
        paths = [] if options.no_files else dumps
        for number in range(options.rounds if paths else 0):
            for kind in tools:
                say(f"  {kind.name}, round {number + 1}")
                tool = kind(os.path.join(folder, f"{kind.name}-{number}"))
                scenario(tool, paths, results)
                shutil.rmtree(tool.folder)
        if not options.no_live and Lacre in tools:
            live(database, folder, results, options.rounds)
    finally:
        database.stop()
        shutil.rmtree(folder, ignore_errors=True)
    report(results, [tool.name for tool in tools], paths)
    if options.json:
        with open(options.json, "w") as out:
            json.dump([{"operation": operation, "tool": name, **({"bytes": run} if isinstance(run, int) else {key: getattr(run, key) for key in ("wall", "cpu", "peak_mb", "printed")})}
                       for (operation, name), runs in results.items() for run in runs], out, indent=1)


if __name__ == "__main__":
    try:
        main()
    except Failed as problem:
        sys.exit(f"error: {problem}")
    except subprocess.CalledProcessError as problem:
        sys.exit(f"error: {re.sub(PASSWORD, '...', str(problem))}")
