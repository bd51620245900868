"""TensorFlow loaded when a command needs it, and without its start-up notes."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile

__all__ = ["need_tensorflow"]


def need_tensorflow() -> None:
    """Load TensorFlow, or say which extra brings it.

    TensorFlow's start-up notes go to the process's standard error past every setting it has for
    them. They are held back, and shown only if it does not start.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError("this command needs TensorFlow: pip install 'keras-affect[tensorflow]'")
    if sys.stderr is None:  # closed: there is nothing to keep clean, and file 2 is another
        import tensorflow as tf

        tf.config.list_logical_devices()
        return
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_logical_devices()
        except BaseException:
            held.seek(0)
            os.write(shown, held.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)
