#!/bin/sh
# What `make test-full` needs from Debian: a second etcd (3.4), a browser for the report, Prometheus, MariaDB.
set -eu
packages="etcd-server chromium prometheus mariadb-server"
missing=""
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "These packages are missing:$missing"
    echo "hint: sudo apt-get install$missing"
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# A test machine must not start services of its own.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
