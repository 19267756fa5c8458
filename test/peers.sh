#!/bin/sh
# Installs the foreign phones and load generators that the tests call with, where they are missing and where this
# is a Debian machine that we may install on. Elsewhere the tests that need them say so and are left out, unless
# TANDEM_PEERS=required.
set -eu
missing=""
command -v baresip >/dev/null || missing="$missing baresip"
command -v sipp >/dev/null || missing="$missing sip-tester"
command -v kamailio >/dev/null || missing="$missing kamailio"
command -v secsipidx >/dev/null || missing="$missing secsipidx"
command -v tcpdump >/dev/null || missing="$missing tcpdump"
command -v turnserver >/dev/null || missing="$missing coturn"
command -v ip >/dev/null || missing="$missing iproute2"
command -v nft >/dev/null || missing="$missing nftables"
command -v keepalived >/dev/null || missing="$missing keepalived"
command -v chromium >/dev/null || missing="$missing chromium"
[ -z "$missing" ] && exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
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
	exit 0
fi
echo "not installed:$missing - tests with these peers are left out (on Debian: apt-get install$missing)"
[ "${TANDEM_PEERS:-}" != required ]
