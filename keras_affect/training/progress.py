"""What a person sees of a running training, and what a csv keeps of it."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any, Self

import keras
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from keras_affect._files import written_whole

__all__ = ["EpochLog", "ProgressBar"]


class EpochLog(keras.callbacks.Callback):
    """One row an epoch in a csv: epoch (from 1), seconds, learning rate, and Keras's logs.

    Args:
        path: The csv; it is written whole each time, so that none is ever cut.
        epochs_done: Rows to keep of a csv that is there; rows after a checkpoint are not.
    """

    def __init__(self, path: Path, epochs_done: int = 0) -> None:
        super().__init__()
        self._path = path
        self._rows: list[dict[str, Any]] = []
        if epochs_done and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                self._rows = list(csv.DictReader(file))[:epochs_done]
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add the epoch's row."""
        row = {
            "epoch": epoch + 1,
            "seconds": f"{time.perf_counter() - self._started:.1f}",
            "learning_rate": f"{float(self.model.optimizer.learning_rate):.6g}",
        }
        row |= {name: f"{float(value):.6g}" for name, value in sorted((logs or {}).items())}
        self._rows.append(row)
        with (
            written_whole(self._path, overwrite=True) as beside,
            beside.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerows(self._rows)


class ProgressBar(keras.callbacks.Callback):
    """A bar over the steps of all epochs, and a line an epoch with its scores.

    A context manager around `fit`: Keras tells callbacks nothing of a training that is broken off,
    and a bar that is not taken away hides the terminal's cursor.

    Args:
        epochs: Epochs of the whole training.
        steps: Steps an epoch.
        epochs_done: Epochs done before this process.
        console: Where to print.
    """

    def __init__(
        self, epochs: int, steps: int, epochs_done: int = 0, console: Console | None = None
    ) -> None:
        super().__init__()
        self._console = console or Console()
        self._epochs, self._steps, self._done = epochs, steps, epochs_done
        self._task: Any = None
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )

    def on_train_begin(self, logs: Any = None) -> None:
        """Show the bar; it goes on where a training has a second part."""
        if self._task is None:
            self._task = self._bar.add_task(
                "train",
                total=self._epochs * self._steps,
                completed=self._done * self._steps,
                epoch=self._done + 1,
                epochs=self._epochs,
            )
        self._bar.start()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Move the bar by a step."""
        self._bar.advance(self._task)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Print the epoch's line."""
        logs = logs or {}
        parts = [f"epoch {epoch + 1}/{self._epochs}", f"loss {logs.get('loss', 0):.4f}"]
        for prefix, label in (("", "accuracy"), ("val_", "valid accuracy")):
            # Of a model with one output Keras leaves the output's name away.
            for key in (f"{prefix}emotion_accuracy", f"{prefix}accuracy"):
                if key in logs:
                    parts.append(f"{label} {logs[key]:.2%}")
        self._bar.console.print("  ".join(parts), highlight=False)
        self._bar.update(self._task, epoch=min(epoch + 2, self._epochs))

    def on_train_end(self, logs: Any = None) -> None:
        """Take the bar away."""
        self._bar.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *broken_off_by: object) -> None:
        self._bar.stop()
