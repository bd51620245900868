"""A command called as the command line calls it."""

from __future__ import annotations

import pytest

from keras_affect import cli


def run(capfd, *arguments):
    """Exit code, standard output and standard error of a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["keras-affect", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
    out, err = capfd.readouterr()
    return caught.value.code, out, err
