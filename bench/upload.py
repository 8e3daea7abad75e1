#!/usr/bin/env python3
"""Measures how fast a first backup reaches an S3 server on this machine, beside rclone writing the very same packs to the same server.
Prints both and their ratio; never judges a time.

    make release && bench/upload.py [--megabytes 256] [--rounds 3]

Lacre also cuts, compresses and seals, so its share of the ratio is a lower bound of what its uploads reach. SeaweedFS and rclone are those
that tests/support/install.sh installs.
"""

import argparse
import glob
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
TOOLS = os.path.join(CACHE, "lacre", "venv", "bin")
TARGET = os.environ.get("CARGO_TARGET_DIR") or os.path.join(CACHE, "lacre", "target")
KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench-secret-for-loopback-only"}


def free_ports():
    """A first port of five that are free, as are their twins for gRPC ten thousand above."""
    for first in range(20_000, 22_700, 10):
        try:
            for port in [*range(first, first + 5), *range(first + 10_000, first + 10_005)]:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise SystemExit("error: no free ports between 20000 and 22700")


def start(folder, port):
    command = [os.path.join(TOOLS, "weed"), "-logtostderr=true", "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
               "-bucket=bench", "-master.telemetry=false", "-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
               f"-s3.localSocket={folder}/s3.sock", f"-filer.localSocket={folder}/filer.sock"]
    command += [f"-{name}.port={port + index}" for index, name in enumerate(["s3", "master", "volume", "filer", "admin"])]
    with open(os.path.join(folder, "log"), "wb") as log:
        server = subprocess.Popen(command, env={"PATH": "/usr/bin:/bin", "HOME": folder, **KEYS}, stdout=log, stderr=log)
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
        except urllib.error.HTTPError:
            return server
        except OSError:
            time.sleep(0.1)
            continue
        return server
    server.kill()
    raise SystemExit(f"error: the server did not start; its log is {folder}/log")


def timed(command, environment):
    begun = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    took = time.monotonic() - begun
    if done.returncode != 0:
        raise SystemExit(f"error: {' '.join(command)} ended with {done.returncode}\n{done.stderr}")
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    lacre = os.environ.get("LACRE_BIN") or os.path.join(TARGET, "release", "lacre")
    folder = tempfile.mkdtemp(prefix="lacre-upload-")
    port = free_ports()
    server = start(folder, port)
    try:
        source = os.path.join(folder, "source")
        with open(source, "wb") as out:
            for _ in range(arguments.megabytes):
                out.write(os.urandom(1_000_000))
        base = {"PATH": "/usr/bin:/bin", "HOME": folder, **KEYS}
        ours, theirs = [], []
        for number in range(arguments.rounds):
            # The same packs, made in a folder first.
            local = os.path.join(folder, f"repo{number}")
            at_home = {**base, "LACRE_REPO": local, "LACRE_HOME": os.path.join(folder, f"home{number}")}
            timed([lacre, "init", "--kit-file", os.path.join(folder, f"kit{number}")], at_home)
            timed([lacre, "backup", "--file", f"bench={source}"], at_home)
            size = sum(os.path.getsize(path) for path in glob.glob(f"{local}/packs/*/*"))
            afar = {**base, "LACRE_REPO": f"s3://bench/round{number}?endpoint=http://127.0.0.1:{port}",
                    "LACRE_HOME": os.path.join(folder, f"far{number}")}
            timed([lacre, "init", "--kit-file", os.path.join(folder, f"far-kit{number}")], afar)
            ours.append(size / timed([lacre, "backup", "--file", f"bench={source}"], afar) / 1e6)
            remote = (f":s3,provider=SeaweedFS,env_auth=true,endpoint='http://127.0.0.1:{port}',force_path_style=true,"
                      f"no_check_bucket=true,upload_cutoff=64Mi:bench/plain{number}")
            theirs.append(size / timed([os.path.join(TOOLS, "rclone"), "--config", "/dev/null", "copy", f"{local}/packs", remote,
                                        "--transfers", "4"], base) / 1e6)
            shutil.rmtree(local)
            print(f"round {number + 1}: lacre {ours[-1]:.0f} MB/s, rclone {theirs[-1]:.0f} MB/s", flush=True)
        print(f"medians: lacre {statistics.median(ours):.0f} MB/s, rclone {statistics.median(theirs):.0f} MB/s, "
              f"ratio {statistics.median(ours) / statistics.median(theirs):.2f}")
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)
        # The server puts sockets, named by port, where nobody asked for them.
        for twin in range(port + 10_000, port + 10_005):
            for path in glob.glob(f"/tmp/seaweedfs-*-grpc-{twin}.sock"):
                os.unlink(path)


if __name__ == "__main__":
    main()
