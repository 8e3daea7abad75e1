#!/usr/bin/env bash
# Ends what `make demo` started and removes what it made, and nothing else.
set -euo pipefail
cd "$(dirname "$0")/../.."

demo=$PWD/demo-data
quiet=${1:-}
[ -d "$demo" ] || { [ -n "$quiet" ] || echo 'nothing to stop: ./demo-data is not there'; exit 0; }

cluster=$(readlink -f "$demo/cluster" 2>/dev/null || true)
pid_file=$cluster/data/postmaster.pid
if [ -f "$pid_file" ]; then
  pid=$(head -n 1 "$pid_file")
  # Only a process that serves this very folder is ours; a stale file may name a stranger.
  if [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$cluster/data" ]; then
    kill -QUIT "$pid"
    for _ in $(seq 200); do [ -d "/proc/$pid" ] || break; sleep 0.05; done
    [ ! -d "/proc/$pid" ] || { echo "error: the demo's server (process $pid) does not stop" >&2; exit 1; }
  fi
fi
case $cluster in
  "$demo/cluster" | '') ;;
  /var/tmp/lacre-demo.??????) rm -rf -- "$cluster" ;;
esac
rm -rf -- "$demo"
[ -n "$quiet" ] || echo 'the demo is stopped and ./demo-data is gone'
