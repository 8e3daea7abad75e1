#!/usr/bin/env bash
# The demonstration behind `make demo-erase`: thirty nights of a database, a copy of the repository put aside, one person erased from every
# night. The copy opens nothing any more, every night comes back without that person and with everyone else, and the receipt verifies with
# the public key alone. Everything it makes lies in ./demo-data; a second run begins anew.
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.."

demo=$PWD/demo-data
scale=${LACRE_DEMO_SCALE:-1}
nights=${LACRE_DEMO_NIGHTS:-30}
person=17
lacre=${LACRE_BIN:?run it with: make demo-erase}

step=0
title() { step=$((step + 1)); printf '\n%d. %s\n' "$step" "$1"; }
say() { printf '   %s\n' "$@"; }
indent() { sed -u 's/^/   | /'; }
fail() { printf '\nerror: %s\n\nhint: %s\n' "$1" "$2" >&2; exit 1; }
trap 'fail "line $LINENO: $BASH_COMMAND" "run it again with: bash -x tests/demo/erase.sh; the server log is demo-data/cluster/log"' ERR

# run CODES COMMAND...: shows the command, runs it, and fails unless it exits with one of the codes.
run() {
  local codes=$1 out code=0; shift
  local shown="$*"
  printf '   $ %s\n' "${shown//$demo/demo-data}"
  out=$("$@" 2>&1) || code=$?
  [ -z "$out" ] || indent <<<"$out"
  case " $codes " in *" $code "*) ;; *) fail "exit $code from: ${shown//$demo/demo-data}" "the message above says why" ;; esac
}

tests/demo/stop.sh --quiet
mkdir -m 0755 "$demo"
bin=${LACRE_TEST_PG_BIN:-}
[ -n "$bin" ] || bin=$(for d in /usr/lib/postgresql/*/bin; do [ -x "$d/initdb" ] && echo "$d"; done | sort -V | tail -n 1)
[ -n "$bin" ] || fail "PostgreSQL's server programs were not found" "tests/support/install.sh demo"
as=()
cluster=$demo/cluster
if [ "$(id -u)" -eq 0 ]; then
  account=nobody
  ! id postgres >/dev/null 2>&1 || account=postgres
  as=(setpriv --reuid="$account" --regid="$(id -g "$account")" --clear-groups --)
  if ! (cd / && "${as[@]}" test -x "$demo"); then cluster=$(mktemp -d /var/tmp/lacre-demo.XXXXXX); ln -s "$cluster" "$demo/cluster"; fi
  mkdir -p "$cluster" && chown "$account" "$cluster"
fi
mkdir -p "$cluster" && chmod 0700 "$cluster"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' 2>/dev/null || echo $((20000 + RANDOM)))
server() { (cd / && "${as[@]}" env -i PATH="$bin:/usr/bin:/bin" HOME="$cluster" LC_ALL=C.UTF-8 TZ=UTC "$@"); }
export PATH="$(dirname "$lacre"):$bin:$PATH"
export LACRE_HOME=$demo/home LACRE_REPO=$demo/repo
export PGHOST=127.0.0.1 PGPORT=$port PGUSER=postgres
unset PGPASSWORD PGSERVICE PGDATABASE LACRE_CONFIG LACRE_IDENTITY PGOPTIONS
url=postgres://postgres@127.0.0.1:$port/astro
digests() { psql -XAtq -F $'\t' -d "$1" -f tests/support/digest.sql; }

title "A throw-away PostgreSQL with the database of a small astrology site, and a repository"
server "$bin/initdb" -D "$cluster/data" -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8 >"$demo/initdb.log" 2>&1 || fail "initdb failed" "demo-data/initdb.log says why"
server "$bin/pg_ctl" -D "$cluster/data" -l "$cluster/log" -w -t 60 -o "-k '$cluster' -p $port -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off" start >/dev/null || fail "the server did not start" "demo-data/cluster/log says why"
createdb -T template0 astro
psql -Xq -v ON_ERROR_STOP=1 -v scale="$scale" -d astro -f tests/support/sample.sql
run 0 lacre init --no-kit

title "$nights nights"
for ((night = 1; night <= nights; night++)); do
  lacre backup --postgres "$url" --quiet >/dev/null 2>&1
  # What each night must be without the person: the database's own DELETE and UPDATE, on a copy of that night.
  createdb -T astro want
  psql -Xq -v ON_ERROR_STOP=1 -d want -c "set session_replication_role = replica; update app.audit_logs set user_id = null, payload = payload #- '{address}' where user_id = $person; set session_replication_role = default; delete from app.users where id = $person" >/dev/null
  # A restore fills materialized views anew, from the rows that are there.
  psql -Xq -v ON_ERROR_STOP=1 -d want -c "refresh materialized view app.signs"
  digests want >"$demo/want.$night.tsv"
  dropdb want
  psql -Xq -v ON_ERROR_STOP=1 -v day="$night" -d astro -f tests/support/day.sql
done
say "$(lacre snapshots --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["snapshots"]))') snapshots; the repository takes $(du -sh "$demo/repo" | cut -f 1)."

title "Somebody puts a copy of the repository aside"
cp -a "$demo/repo" "$demo/copy"
erased=$(lacre snapshots --json | python3 -c 'import json, sys; print(" ".join(s["snapshot"] for s in json.load(sys.stdin)["snapshots"]))')

title "Person $person asks to be erased: first the plan, then the erasure"
printf '%s\n' "$person" >"$demo/key.txt"
run 0 lacre erase person --rules tests/demo/rules.toml --subject user --key-file "$demo/key.txt" --dry-run
run "0 5" lacre erase person --rules tests/demo/rules.toml --subject user --key-file "$demo/key.txt" --reason art17 --yes
say "The person is deleted from the live database, too; the next backup settles the writer."
psql -Xq -v ON_ERROR_STOP=1 -d astro -c "delete from app.users where id = $person"
run 0 lacre backup --postgres "$url"
run 0 lacre erase resume

title "The copy, with every key there is and the new seal"
identity=$(find "$demo/home" -name identity.txt | head -n 1)
# shellcheck disable=SC2086
run 0 lacre --repo "$demo/copy" --home "$demo/auditor" --identity "$identity" erase prove $erased

title "Every night comes back without that person and with everyone else"
night=0
for snapshot in $(lacre snapshots --json | python3 -c 'import json, sys; print(" ".join(s["snapshot"] for s in json.load(sys.stdin)["snapshots"] if s["state"] == "live"))'); do
  night=$((night + 1))
  [ "$night" -le "$nights" ] || break
  lacre restore "$snapshot" --to "postgres://postgres@127.0.0.1:$port/back" --create --yes --quiet >/dev/null 2>&1
  digests back >"$demo/back.tsv"
  cmp -s "$demo/want.$night.tsv" "$demo/back.tsv" || fail "night $night is not what PostgreSQL left of it" "compare demo-data/want.$night.tsv with demo-data/back.tsv"
  [ "$(psql -XAtqd back -c "select count(*) from app.users where id = $person")" = 0 ] || fail "the person is in night $night" "please report it"
  dropdb back
done
[ "$night" -ge "$nights" ] || fail "only $night nights are left" "lacre snapshots"
say "$nights nights restored; rows and digests of every table are those PostgreSQL leaves after its own DELETE."

title "The receipt, on a machine that has only the public key"
receipt=$(find "$demo/home" -path '*receipts*' -name '*.json' | head -n 1)
admin=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["admin"])' "$demo/repo/lacre.json")
run 0 env -i PATH="$PATH" HOME="$demo/elsewhere" LACRE_HOME="$demo/elsewhere" lacre receipt verify "$receipt" --admin-key "$admin"
printf '\nDone.  make demo-stop  stops the server and removes ./demo-data\n'
