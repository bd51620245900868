"""``keras-affect models``."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["models"]


def models(
    pattern: Annotated[str, typer.Argument(help="Names to show, as '*lite*' or 'vgg*'.")] = "*",
    json_: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """List the architectures and, below each, the weights that ship: what they cost and score.

    Sizes are those at 48x48x1 with eight emotions; the time is one picture's on one thread. An
    architecture is listed as it is built without weights, which may be wider or narrower than
    those that ship. TemporalAffect is of clips: with its default encoder, and by the frame.

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
        "int8 on\nFER+ valid",
    ):
        table.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
    shown = []
    for row in rows:
        lines = [(row.name, row.cost, "")]
        for entry in row.shipped:
            accuracy = f"{row.int8_accuracy_of(entry.name):.2%}"
            lines.append((f"  {entry.name}", row.cost_of(entry.name), accuracy))
        for name, cost, accuracy in lines:
            milliseconds = cost.int8_milliseconds
            table.add_row(
                name,
                f"{cost.parameters:,}",
                f"{cost.multiply_adds / 1e6:.1f} M",
                f"{cost.int8_bytes:,}",
                "-" if milliseconds is None else f"{milliseconds:.2f}",
                accuracy,
            )
            shown.append(cost)
    console = Console()
    console.print(table)
    for processor in sorted({cost.measured_on for cost in shown if cost.measured_on}):
        console.print(f"Times on {processor}.", highlight=False, markup=False)
    if any(cost.int8_milliseconds is None for cost in shown):
        console.print("-: not measured.", highlight=False, markup=False)
