#!/usr/bin/env bash
# The demonstration behind `make demo`: a real database is backed up on two nights, audited, destroyed and restored. Everything it makes
# lies in ./demo-data; a second run begins anew.
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.."

demo=$PWD/demo-data
scale=${LACRE_DEMO_SCALE:-10}
lacre=${LACRE_BIN:?run it with: make demo}

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'; else bold='' dim='' green='' red='' plain=''; fi
step=0
title() { step=$((step + 1)); printf '\n%s%d. %s%s\n' "$bold" "$step" "$1" "$plain"; }
say() { printf '   %s\n' "$@"; }
indent() { sed -u 's/^/   | /'; }
fail() { printf '\n%serror:%s %s\n\nhint: %s\n' "$red" "$plain" "$1" "$2" >&2; exit 1; }

trap 'fail "line $LINENO: $BASH_COMMAND" "run it again with: bash -x tests/demo/run.sh; the server log is demo-data/cluster/log"' ERR

# run COMMAND...: shows the command as a person would type it, then runs it.
run() {
  local shown="$*" out
  printf '   %s$ %s%s\n' "$dim" "${shown//$demo/demo-data}" "$plain"
  out=$("$@" 2>&1) || { local code=$?; indent <<<"$out"; fail "exit $code from: ${shown//$demo/demo-data}" "the message above says why; the database's own log is demo-data/cluster/log"; }
  [ -z "$out" ] || indent <<<"$out"
}

# --- the surroundings ------------------------------------------------------------------------------------------------------------------
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
  # A checkout below a private folder is out of the account's reach; the server then gets a folder elsewhere.
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
digests() { psql -XAtq -F $'\t' -d astro -f tests/support/digest.sql; }

printf '%sLacre%s keeps encrypted, deduplicated backups of databases that can truly forget.\n' "$bold" "$plain"
printf 'What follows is real: a PostgreSQL server, a database, two nights, a disaster. All of it lies in ./demo-data.\n'

title "A throw-away PostgreSQL $("$bin/postgres" --version | grep -o '[0-9.]*' | head -n 1) with the database of a small astrology site"
server "$bin/initdb" -D "$cluster/data" -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8 >"$demo/initdb.log" 2>&1 ||
  fail "initdb failed" "demo-data/initdb.log says why"
server "$bin/pg_ctl" -D "$cluster/data" -l "$cluster/log" -w -t 60 \
  -o "-k '$cluster' -p $port -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off" start >/dev/null ||
  fail "the server did not start" "demo-data/cluster/log says why"
createdb -T template0 astro
psql -Xq -v ON_ERROR_STOP=1 -v scale="$scale" -d astro -f tests/support/sample.sql
say "Accounts, birth charts, OAuth connections, sessions and audit logs: $(psql -XAtqd astro -c "select pg_size_pretty(pg_database_size('astro'))")."
say "Every name and number in it is invented."

title "A repository, its keys and its seal"
say "Hosts that make backups need public keys only. What must move elsewhere on a real machine is said below."
run lacre init --kit-file "$demo/recovery-kit.txt"

title "Night one"
run lacre backup --postgres "$url"

title "A day passes: logins, edits, new accounts, two people delete theirs"
psql -Xq -v ON_ERROR_STOP=1 -v day=1 -d astro -f tests/support/day.sql
say "Night two stores only what is new:"
run lacre backup --postgres "$url"
run lacre snapshots
digests >"$demo/before.tsv"

title "Is everything there, and can it be read? Every byte is read, decrypted and hashed"
run lacre repo check --read-data

title "What does someone see who steals the repository?"
pg_dump -d astro >"$demo/plain.sql"
printf '   | %-34s %18s %18s\n' 'searched for' 'in a plain dump' 'in the repository'
while read -r word; do
  there=$(grep -cF -- "$word" "$demo/plain.sql" || true)
  here=$({ grep -rlaF -- "$word" "$demo/repo" || true; } | wc -l)
  printf '   | %s%*s %12d lines %12d files\n' "$word" $((34 - ${#word})) '' "$there" "$here"
  [ "$there" -gt 0 ] || fail "the sample does not contain $word" "tests/support/sample.sql was changed without tests/demo/run.sh"
  [ "$here" -eq 0 ] || fail "$word is readable in the repository" "grep -rlaF '$word' demo-data/repo"
done <<'WORDS'
@mail.example
Guimarães
000.007.919
birth_charts
consent.granted
sagittarius
WORDS
rm "$demo/plain.sql"

title "The disaster"
run dropdb astro

title "The way back"
say "The rows are restored beside, counted and compared with what was recorded before the database appears under its name."
run lacre restore latest:astro --to "$url" --create --yes

title "Is every row back?"
digests >"$demo/after.tsv"
join -t $'\t' -a 1 -a 2 -e missing -o 0,1.2,1.3,2.2,2.3 <(LC_ALL=C sort "$demo/before.tsv") <(LC_ALL=C sort "$demo/after.tsv") |
  awk -F '\t' -v green="$green" -v red="$red" -v plain="$plain" '
    BEGIN { printf "   | %-28s %10s %10s   %s\n", "table", "before", "now", "content" }
    { same = ($2 == $4 && $3 == $5); bad += !same; rows += $4
      printf "   | %-28s %10s %10s   %s\n", $1, $2, $4, same ? green "the same" plain : red "DIFFERENT" plain }
    END { printf "   | %-28s %10s %10d   %s\n", NR " in all", "", rows, bad ? red bad " differ" plain : green "every digest is the same" plain; exit bad > 0 }
  ' || fail "the restored database is not the one that was backed up" "compare demo-data/before.tsv with demo-data/after.tsv, and please report it"

cat <<TXT

${bold}Done.${plain} The server still runs and the repository is yours to explore:

  export LACRE_HOME=$LACRE_HOME LACRE_REPO=$LACRE_REPO PATH=$(dirname "$lacre"):\$PATH
  lacre snapshots
  lacre show latest:astro
  lacre ls latest:astro
  lacre cat latest:astro app.settings
  lacre restore latest:astro --to-file astro.dump && pg_restore --list astro.dump | head
  psql $url

  make demo-stop        stops the server and removes ./demo-data
TXT
