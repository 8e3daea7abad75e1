#!/usr/bin/env bash
# The whole suite, cheapest part first; stops at the first part that fails. The last line counts what really ran: every test, every
# doctest, and each of the other parts as one.
set -euo pipefail
cd "$(dirname "$0")/../.."

passed=0 failed=0
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/lacre/target}
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
log=$(mktemp)

finish() {
  local code=$?
  rm -f "$log"
  # An error nobody counted is still an error.
  if [ $code -ne 0 ] && [ $failed -eq 0 ]; then failed=1; fi
  printf 'lacre: %d passed, %d failed\n' "$passed" "$failed"
  [ $failed -eq 0 ] || exit 1
}
trap finish EXIT

title() { printf '\n== %s\n' "$1"; }

# part NAME COMMAND...: one check that passes or fails as a whole.
part() {
  local name=$1
  shift
  title "$name"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); exit 1; fi
}

# Adds the counts of a JUnit report: the attributes of its outermost element.
count_report() {
  local head all bad
  head=$(grep -m1 -o '<testsuites [^>]*>' "$1")
  all=$(sed -n 's/.* tests="\([0-9]*\)".*/\1/p' <<<"$head")
  bad=$(($(sed -n 's/.* failures="\([0-9]*\)".*/\1/p' <<<"$head") + $(sed -n 's/.* errors="\([0-9]*\)".*/\1/p' <<<"$head")))
  passed=$((passed + all - bad))
  failed=$((failed + bad))
}

title 'tools'
tests/support/install.sh test

part 'format' cargo fmt --all --check
part 'lints' cargo clippy --workspace --all-targets --quiet --locked -- -D warnings

title 'tests'
# The runner keeps its reports in the workspace, wherever the build goes.
report=target/nextest/default/junit.xml
rm -f "$report"
cargo nextest run --workspace --all-targets --locked --no-fail-fast || code=$?
[ ! -f "$report" ] || count_report "$report"
[ "${code:-0}" -eq 0 ] || exit 1

title 'doctests'
cargo test --workspace --doc --quiet --locked 2>&1 | tee "$log" || code=$?
while read -r good bad; do
  passed=$((passed + good)) failed=$((failed + bad))
done < <(sed -n 's/^test result: [A-Za-z]*\. \([0-9]*\) passed; \([0-9]*\) failed;.*/\1 \2/p' "$log")
[ "${code:-0}" -eq 0 ] || exit 1

part 'documentation' env RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --quiet --locked
if cargo deny --version >/dev/null 2>&1; then
  part 'licences and sources' cargo deny --offline --log-level error check bans licenses sources
fi
printf '\n'
