#!/bin/sh
# Run a command with a Node that the web page's tools run on: 20.19 or later, with npm.
#
#   tools/with_node.sh COMMAND [ARGUMENT...]
#   tools/with_node.sh --check      exit code 0 if there is one, 2 if not; says nothing
#
# The Node on PATH is taken if it is new enough, else the one that tools/edge_packages.sh put into
# build/node. Where neither is, one line says so and the exit code is 2.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
least='const [major, minor] = process.versions.node.split(".").map(Number);
process.exit(major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19) ? 0 : 1)'

fits() {
    command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 && node -e "$least"
}

if ! fits; then
    PATH="$here/build/node/bin:$PATH"
    if ! fits; then
        [ "${1:-}" = --check ] ||
            echo "make: the web page needs Node 20.19, 22.12 or later, with npm: https://nodejs.org" >&2
        exit 2
    fi
fi
[ "${1:-}" = --check ] || exec "$@"
