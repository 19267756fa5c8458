#!/bin/sh
# CPU per unit of work of the built binary beside Debian's kamailio and rtpengine, in one run on loopback.
# QUICK=1 takes fewer and shorter rounds. What is measured and how: BENCH.md.
set -eu
cd "$(dirname "$0")/../.."
missing=""
command -v kamailio >/dev/null || missing="$missing kamailio"
command -v rtpengine >/dev/null || missing="$missing rtpengine-daemon"
command -v taskset >/dev/null || missing="$missing util-linux"
if [ -n "$missing" ]; then
	if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
		echo "not installed:$missing - on Debian: apt-get install$missing" >&2
		exit 1
	fi
	echo "installing$missing"
	# Packages that start daemons must not do so here.
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
		chmod +x /usr/sbin/policy-rc.d
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q >/dev/null
	# shellcheck disable=SC2086
	apt-get install -yq --no-install-recommends $missing >/dev/null
fi
[ -x bin/tandem ] || make build
go build -o bin/bench ./test/bench
timeout 600 ./bin/bench -tandem bin/tandem -json bin/bench.json ${QUICK:+-quick} "$@"
