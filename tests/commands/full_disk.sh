#!/bin/bash
# In a mount namespace of its own: backups onto a small disk that fills up at one point after another.
# $1: the lacre program. Prints a line "KIB EXIT SNAPSHOTS" per attempt; whatever else goes wrong ends it with another status.
set -euo pipefail
lacre=$1
mkdir disk
mount -t tmpfs -o size=32m none disk
export LACRE_HOME=$PWD/disk/home LACRE_REPO=$PWD/disk/repo
"$lacre" init --kit-file kit > init.txt
echo "first" | "$lacre" backup --stdin a > first.txt
live() { "$lacre" snapshots | grep -c ' live' || true; }
for kib in 0 4 8 12 16 24 32 48 64 96 128 192 256 384 512 768 1024; do
    head -c 400000 /dev/urandom > dump
    free=$(df --output=avail -k disk | tail -1)
    head -c $(((free - kib) * 1024)) /dev/zero > disk/filler
    exit=0
    "$lacre" backup --file b=dump > out.txt 2> "err.$kib" || exit=$?
    rm disk/filler
    echo "$kib $exit $(live)"
    "$lacre" check --read-data > check.txt || { cat check.txt; exit 9; }
done
"$lacre" backup --file b=dump > out.txt
"$lacre" cat latest:b data | cmp - dump
"$lacre" cat latest:a data | grep -qx first
"$lacre" check --read-data > check.txt
