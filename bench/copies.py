#!/usr/bin/env python3
"""Measures how fast `lacre copy sync` fills a copy in an S3 server on this machine, beside rclone copying the very same files to the same
server with as many transfers, and how many bytes a second of processor time an audit without keys reads. Prints all of it; judges no time.

    make release && bench/copies.py [--megabytes 512] [--rounds 3]

SeaweedFS and rclone are those that tests/support/install.sh installs.
"""

import argparse
import os
import resource
import shutil
import statistics
import tempfile

from upload import KEYS, TARGET, TOOLS, free_ports, start, timed


def size_of(folder):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    lacre = os.environ.get("LACRE_BIN") or os.path.join(TARGET, "release", "lacre")
    folder = tempfile.mkdtemp(prefix="lacre-copies-")
    port = free_ports()
    server = start(folder, port)
    try:
        source, local = os.path.join(folder, "source"), os.path.join(folder, "repo")
        with open(source, "wb") as out:
            for _ in range(arguments.megabytes):
                out.write(os.urandom(1_000_000))
        base = {"PATH": "/usr/bin:/bin", "HOME": folder, **KEYS}
        at_home = {**base, "LACRE_REPO": local, "LACRE_HOME": os.path.join(folder, "home")}
        timed([lacre, "init", "--kit-file", os.path.join(folder, "kit")], at_home)
        timed([lacre, "backup", "--file", f"bench={source}"], at_home)
        os.unlink(source)
        size = size_of(local)
        ours, theirs, audits = [], [], []
        for number in range(arguments.rounds):
            config = os.path.join(folder, f"config{number}.toml")
            with open(config, "w", opener=lambda path, flags: os.open(path, flags, 0o600), encoding="utf-8") as out:
                out.write(f'[[copy]]\nname = "c{number}"\nurl = "s3://bench/copy{number}?endpoint=http://127.0.0.1:{port}"\n')
            ours.append(size / timed([lacre, "--config", config, "copy", "sync"], at_home) / 1e6)
            remote = (f":s3,provider=SeaweedFS,env_auth=true,endpoint='http://127.0.0.1:{port}',force_path_style=true,"
                      f"no_check_bucket=true,upload_cutoff=64Mi:bench/plain{number}")
            theirs.append(size / timed([os.path.join(TOOLS, "rclone"), "--config", "/dev/null", "copy", local, remote, "--transfers", "4"],
                                       base) / 1e6)
            # A machine without any key audits the bytes of a copy in a folder; the second run reads them from the page cache.
            bare = {**base, "LACRE_REPO": local, "LACRE_HOME": os.path.join(folder, f"bare{number}")}
            for _ in range(2):
                before = processor_seconds()
                timed([lacre, "repo", "check", "--level", "2", "--read-data"], bare)
                used = processor_seconds() - before
            audits.append(size / used / 1e9)
            print(f"round {number + 1}: copy sync {ours[-1]:.0f} MB/s, rclone {theirs[-1]:.0f} MB/s; "
                  f"audit without keys {audits[-1]:.2f} GB a processor second", flush=True)
        print(f"medians: copy sync {statistics.median(ours):.0f} MB/s, rclone {statistics.median(theirs):.0f} MB/s, "
              f"ratio {statistics.median(ours) / statistics.median(theirs):.2f}; audit {statistics.median(audits):.2f} GB a processor second")
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
