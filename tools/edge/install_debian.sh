#!/bin/sh
# Install Debian packages where they are missing: tools/edge/install_debian.sh PACKAGE...
#
# As root by apt-get; as another user, one line says what to install, and the exit code is 2.
set -eu

missing=
for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
        missing="$missing $package"
done
[ -z "$missing" ] && exit
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
    echo "make: test-edge needs Debian's$missing: sudo apt-get install$missing" >&2
    exit 2
fi
echo "make: installing Debian's$missing"
apt-get -qq update
# shellcheck disable=SC2086 # words, each a package
DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $missing >/dev/null
