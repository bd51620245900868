"""``keras-affect models``."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["models"]


def models(
    pattern: Annotated[str, typer.Argument(help="Names to show, as '*lite*' or 'vgg*'.")] = "*",
    json_: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """List the architectures: what each costs, and what it scores where weights ship.

    Sizes are those at 48x48x1 with eight emotions; the time is one picture's on one thread.
    TemporalAffect is of clips: with its default encoder, and by the frame.

    Example: keras-affect models "*lite*"
    """
    import json

    from keras_affect.weights import architectures

    rows = architectures.matching(pattern)
    if not rows:
        names = ", ".join(row.name for row in architectures.architectures())
        raise ValueError(
            f"Invalid value for argument `pattern`. Expected one that fits any of {names}. "
            f"Received: pattern={pattern!r}"
        )
    if json_:
        print(json.dumps([row.as_dict() for row in rows], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    # Without edges and with broken headings the table fits a terminal of 80 columns.
    table = Table(show_edge=False, pad_edge=False)
    for heading in (
        "model",
        "parameters",
        "multiply-\nadds",
        "int8\nbytes",
        "int8\nms",
        "weights,\nFER+ valid",
    ):
        table.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
    for row in rows:
        milliseconds = row.int8_milliseconds
        table.add_row(
            row.name,
            f"{row.parameters:,}",
            f"{row.multiply_adds / 1e6:.1f} M",
            f"{row.int8_bytes:,}",
            "-" if milliseconds is None else f"{milliseconds:.2f}",
            "\n".join(f"{entry.name}\n{entry.scores['accuracy']:.2%}" for entry in row.shipped)
            or "none ship",
        )
    console = Console()
    console.print(table)
    for processor in sorted({row.measured_on for row in rows if row.measured_on}):
        console.print(f"Times on {processor}.", highlight=False, markup=False)
    if any(row.int8_milliseconds is None for row in rows):
        console.print("-: not measured.", highlight=False, markup=False)
