"""The page of a comparison: tables, and bars drawn in the page itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template
from typing import Any

from keras_affect.export.report import ExportReport

__all__ = ["page"]

_TEMPLATE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$model: exports side by side</title>
<style>
:root { color-scheme: light dark; --line: #8884; --bar: #3b6fb6; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
td.bar { width: 14rem; text-align: left; }
td.bar div { background: var(--bar); height: .8rem; min-width: 1px; }
</style>
<h1>$model: exports side by side</h1>
<p>Outputs were compared over $measured. An error of outputs is not accuracy: a file whose
probabilities are off by 0.05 may name every face as the model does. $scored</p>
<h2>Files</h2>
<div class="wide">$files</div>
<p>$latency</p>
<h2>Size</h2>
<div class="wide">$sizes</div>
<h2>What int8 hurts most</h2>
$layers
</html>
""")

# Layers beyond these differ from rounding by little.
_LAYERS = 20


def page(model: str, reports: Mapping[str, ExportReport]) -> str:
    """The page as text.

    Args:
        model: The model's name.
        reports: By the quantization's name, at least one.
    """
    first = next(iter(reports.values()))
    scored = (
        "No labelled images were given, so that there are no scores."
        if first.scores is None
        else f"Scores are over {first.scores['float']['images']:,} labelled images."
    )
    latency = next((report.latency for report in reports.values() if report.latency), None)
    return _TEMPLATE.substitute(
        model=escape(model),
        measured=escape(first.measured_on),
        scored=scored,
        files=_files(reports),
        latency=""
        if latency is None
        else f"Latency: the median of {latency.runs} runs of one image on one thread of "
        f"{escape(latency.processor)}, with whatever else ran there. XNNPACK: the share of the "
        "operators that it runs.",
        sizes=_bars(
            ("quantization", "kB"),
            [(name, report.size / 1e3, "{:,.0f}") for name, report in reports.items()],
        ),
        layers=_layers(reports),
    )


def _files(reports: Mapping[str, ExportReport]) -> str:
    first = next(iter(reports.values()))
    names = list(first.largest_error)
    headings = ["", "bytes", "ms", "XNNPACK", "operators", "in float"]
    headings += [f"largest error of {name.replace('_', ' ')}" for name in names]
    rows: list[list[str]] = []
    scores = [_scores(first.scores["float"])] if first.scores is not None else []
    if scores:
        headings += [heading for heading, _ in scores[0]]
        blank = [""] * (5 + len(names))
        rows.append(["Keras, float32", *blank, *(text for _, text in scores[0])])
    for name, report in reports.items():
        rows.append(
            [
                name,
                f"{report.size:,}",
                "" if report.latency is None else f"{report.latency.milliseconds:.3f}",
                "" if report.xnnpack is None else f"{report.xnnpack:.0%}",
                str(sum(report.operators.values())),
                "all" if report.stayed_float is None else str(sum(report.stayed_float.values())),
                *(f"{report.largest_error[output]:.2g}" for output in names),
            ]
        )
        if report.scores is not None:
            rows[-1] += [text for _, text in _scores(report.scores["exported"])]
    return _table(headings, rows)


def _scores(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = [("accuracy", f"{scores['accuracy']:.2%}")]
    for axis in ("valence", "arousal"):
        if scores[axis] is not None:
            pairs.append((f"{axis} CCC", f"{scores[axis]['concordance']:.3f}"))
    return pairs


def _layers(reports: Mapping[str, ExportReport]) -> str:
    errors = next((report.layer_errors for report in reports.values() if report.layer_errors), None)
    if errors is None:
        return "<p>No int8 file was made.</p>"
    rows = [
        (f"{' + '.join(error.layers)}: {error.operator}", error.steps, "{:.2f}")
        for error in errors[:_LAYERS]
    ]
    return (
        "<p>Each operator beside its float twin on the same inputs: the root mean square error in "
        "steps of its output's scale. Rounding alone gives 0.29. Layers well above that are worth "
        "a try with <code>keep_float=[...]</code>.</p>"
        f'<div class="wide">{_bars(("layers: operator", "steps"), rows)}</div>'
    )


def _bars(headings: Sequence[str], rows: Sequence[tuple[str, float, str]]) -> str:
    largest = max(value for _, value, _ in rows) or 1
    body = "".join(
        f"<tr><td>{escape(name)}</td><td>{form.format(value)}</td>"
        f'<td class="bar"><div style="width:{100 * value / largest:.1f}%"></div></td></tr>\n'
        for name, value, form in rows
    )
    return f"<table>\n{_head(headings)}{body}</table>"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>\n" for row in rows
    )
    return f"<table>\n{_head(headings)}{body}</table>"


def _head(headings: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<th>{escape(heading)}</th>" for heading in headings) + "</tr>\n"
