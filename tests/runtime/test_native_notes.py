from __future__ import annotations

import os
import subprocess
import sys

import pytest

from keras_affect.runtime.native_notes import standard_error, without_native_notes


def test_notes_go_and_all_else_stays(capfd):
    with without_native_notes():
        os.write(2, b"INFO: Created a delegate.\nWARNING: hot\nINFO: more\nno line end")
    os.write(2, b"INFO: after\n")
    written = capfd.readouterr().err
    assert written == "WARNING: hot\nno line endINFO: after\n"


def test_errors_pass_and_what_was_said_is_not_lost(capfd):
    def fail():
        with without_native_notes():
            os.write(2, b"ERROR: no such operator\n")
            raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        fail()
    assert capfd.readouterr().err == "ERROR: no such operator\n"


USES = (
    "from keras_affect.runtime.native_notes import standard_error, without_native_notes\n"
    "with standard_error() as shown, without_native_notes():\n"
    "    print('nothing', file=shown)\n"
    "    print('fine')"
)


@pytest.mark.parametrize("before", [True, False])
def test_a_closed_standard_error_is_no_error(before):
    """Closed by whoever starts the program, as a daemon is, or by the program itself."""
    command = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, USES]
    if not before:
        command = [sys.executable, "-c", f"import os\nos.close(2)\n{USES}"]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert run.stdout == "fine\n"


def test_standard_error_shows_while_notes_are_held_back(capfd):
    with standard_error() as shown, without_native_notes():
        print("a bar", file=shown, flush=True)
        assert capfd.readouterr().err == "a bar\n"
