#!/bin/sh
# Known vulnerabilities in what the switch is built of. One that is found fails (govulncheck's status 3), and so does a
# check that could not run; only a database that cannot be reached is said aloud and let pass, for it says nothing of the
# code. $1: the packages; default all.
set -u
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
go tool govulncheck "${1:-./...}" >"$out" 2>&1
status=$?
cat "$out"
if [ "$status" = 1 ] && grep -q '^govulncheck: fetching vulnerabilities: .*\(dial \|lookup \|timeout\|connection \|EOF\|proxyconnect \)' "$out"; then
	echo "NOT CHECKED for known vulnerabilities: the database cannot be reached from here"
	exit 0
fi
exit "$status"
