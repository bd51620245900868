from __future__ import annotations

import os
import subprocess
import sys

import pytest

from keras_affect.runtime.native_notes import without_native_notes


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


def test_a_closed_standard_error_is_no_error():
    code = (
        "import os\nfrom keras_affect.runtime.native_notes import without_native_notes\n"
        "os.close(2)\nwith without_native_notes():\n    print('fine')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    assert run.stdout == "fine\n"
