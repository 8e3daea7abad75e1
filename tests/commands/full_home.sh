#!/bin/bash
# In a mount namespace of its own: the disk of LACRE_HOME is full, and then so full that nothing of it is there. Reading goes on.
# $1: the lacre program. Prints a line per command; whatever goes wrong ends it with another status.
set -euo pipefail
lacre=$1
mkdir keys repo-parent
mount -t tmpfs -o size=1m none keys
export LACRE_HOME=$PWD/keys/home LACRE_REPO=$PWD/repo-parent/repo
"$lacre" init --kit-file kit > init.txt
head -c 3000000 /dev/urandom > dump
"$lacre" backup --file a=dump > first.txt
fill() { cat /dev/zero > keys/filler 2> /dev/null || true; }
reads() {
    "$lacre" snapshots | grep -q ' live' && echo "$1 snapshots"
    "$lacre" ls latest "${@:2}" > ls.txt && echo "$1 ls"
    "$lacre" cat latest data "${@:2}" | cmp - dump && echo "$1 cat"
    rm -f back && "$lacre" restore latest --to-file back "${@:2}" > restore.txt && cmp back dump && echo "$1 restore"
    exit=0
    "$lacre" check --read-data "${@:2}" > check.txt 2> check.err || exit=$?
    [ "$exit" = 0 ] && echo "$1 check" || { cat check.txt check.err; exit 8; }
}
fill
reads full
rm -f keys/home/repos/*/catalog.db*
fill
reads no-cache
exit=0
"$lacre" backup --file a=dump > backup.txt 2> backup.err || exit=$?
echo "backup $exit"
# A machine that has nothing, and no room for anything: the sheets and the repository are enough.
export LACRE_HOME=$PWD/keys/elsewhere
fill
"$lacre" cat latest data --kit kit --kit kit-identity | cmp - dump && echo "cold cat"
