#!/bin/sh
# Make the virtual environment FOLDER with the newest Python that fits, or with the one named.
#
#   tools/make_venv.sh FOLDER [PYTHON]
#
# An environment that works is kept, unless PYTHON names another Python than the one it was made
# with. Where no Python fits, one line says so and the exit code is 2.
set -eu

folder=$1
wanted=${2:-}
candidates="python3.13 python3.12 python3.11 python3"

# Run by any Python, even by one too old to know its f-strings.
examine='
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    print("is Python %d.%d" % sys.version_info[:2])
else:
    try:
        import ensurepip, venv
    except ImportError:
        print("has no venv module (on Debian and Ubuntu: apt install python%d.%d-venv)"
              % sys.version_info[:2])
    else:
        print("fits")
'
# An environment and the Python that it was made with print the same line.
identify='import os, sys; print(sys.version, os.path.realpath(sys.base_prefix))'

say() {
    echo "make: $*" >&2
}

# A name on PATH proves nothing, so each candidate is run: pyenv, for one, leaves shims of Pythons
# that it then refuses to start.
verdict() {
    if ! command -v "$1" >/dev/null 2>&1; then
        echo "is not there"
    else
        "$1" -c "$examine" 2>/dev/null || echo "does not start"
    fi
}

choose() {
    if [ -n "$wanted" ]; then
        found=$(verdict "$wanted")
        [ "$found" = fits ] && python=$wanted && return
        say "PYTHON=$wanted $found; keras_affect needs Python 3.11 to 3.13 with its venv module."
        exit 2
    fi
    tried=
    for python in $candidates; do
        found=$(verdict "$python")
        [ "$found" = fits ] && return
        tried="$tried${tried:+, }$python $found"
    done
    say "keras_affect needs Python 3.11 to 3.13 with its venv module ($tried)." \
        "Install one, or name one: make PYTHON=/path/to/python3 ..."
    exit 2
}

# Without pip, the making of the environment was interrupted.
works=
if [ "$(verdict "$folder/bin/python")" = fits ] && "$folder/bin/python" -c "import pip" 2>/dev/null
then
    works=yes
fi
[ -n "$works" ] && [ -z "$wanted" ] && exit
choose
if [ -n "$works" ] && [ "$("$folder/bin/python" -c "$identify")" = "$("$python" -c "$identify")" ]
then
    exit
fi
say "$folder is made with $("$python" -c 'import sys; print(sys.executable, sys.version.split()[0])')"
"$python" -m venv --clear "$folder"
