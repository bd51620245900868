"""What the benchmarks share: two contenders timed by turns, and a table of their ratios.

    make bench                          all of them
    make bench ARGS="-k fractional"     some
    make bench ARGS=--smoke             each once at its smallest size: the figures mean nothing

pytest-benchmark times ours, and times the other contender's turn as what has to be set up for it,
so that a busy moment of the machine falls on both. Use the ratios, from an idle machine. Nothing
fails for being slow.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
from rich.console import Console
from rich.table import Table


@dataclasses.dataclass(frozen=True)
class Result:
    name: str
    #: Seconds, ours and the other's.
    ours: float
    other: float
    ratio: float
    #: `(is_at_most, limit)`, or None where nothing is demanded.
    target: tuple[bool, float] | None
    note: str


RESULTS = pytest.StashKey[list[Result]]()


class Comparison:
    """Times two functions by turns and keeps the ratio for the table: the fixture `compare`."""

    def __init__(self, benchmark: Any, results: list[Result], smoke: bool) -> None:
        self.benchmark = benchmark
        self.results = results
        self.smoke = smoke

    def __call__(
        self,
        name: str,
        ours: Callable[[], Any],
        other: Callable[[], Any],
        *,
        rounds: int,
        warmups: int = 2,
        calls: int = 1,
        statistic: Callable[[Sequence[float]], float] = statistics.median,
        ratio: Literal["time", "speed"] = "time",
        target: float | None = None,
        note: str = "",
    ) -> None:
        """Time both.

        Args:
            name: As shown in the table.
            ours: What is timed.
            other: What it is compared with.
            rounds: How often each is timed.
            warmups: Rounds before, which trace, compile and fill caches.
            calls: How many operations a call has: times are shown of one.
            statistic: What stands for all rounds.
            ratio: `"time"`, ours / the other's, less is better; or `"speed"`, the inverse.
            target: The largest time ratio or the smallest speed ratio that is asked for.
            note: Shown behind.
        """
        if self.smoke:
            rounds, warmups = 1, 0
        seconds: list[float] = []

        def turn_of_other() -> None:
            start = time.perf_counter()
            other()
            seconds.append(time.perf_counter() - start)

        self.benchmark.pedantic(
            ours, setup=turn_of_other, rounds=rounds, warmup_rounds=warmups, iterations=1
        )
        mine = statistic(self.benchmark.stats.stats.data) / calls
        others = statistic(seconds[warmups:]) / calls
        value = mine / others if ratio == "time" else others / mine
        # For --benchmark-json: what the table shows.
        self.benchmark.extra_info |= {"comparison": name, "ratio": value, "smoke": self.smoke}
        demanded = None if target is None else (ratio == "time", target)
        self.results.append(Result(name, mine, others, value, demanded, note))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--smoke", action="store_true", help="run each once, at its smallest size")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.timeout(0))


@pytest.fixture
def smoke(request: pytest.FixtureRequest) -> bool:
    """Whether to be quick, at the smallest size."""
    return bool(request.config.getoption("--smoke"))


@pytest.fixture
def compare(benchmark: Any, request: pytest.FixtureRequest, smoke: bool) -> Comparison:
    return Comparison(benchmark, request.config.stash[RESULTS], smoke)


# Behind pytest-benchmark's own table.
@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    results = config.stash[RESULTS]
    if not results:
        return
    smoke = config.getoption("--smoke")
    table = Table(box=None, pad_edge=False)
    for title in ("benchmark", "ours", "other", "ratio", "target", "", "note"):
        side = "right" if title in ("ours", "other", "ratio") else "left"
        table.add_column(title, justify=side, no_wrap=True)
    for result in results:
        target, verdict = "", ""
        if result.target is not None:
            is_at_most, limit = result.target
            target = f"{'<=' if is_at_most else '>='} {limit:g}"
            met = result.ratio <= limit if is_at_most else result.ratio >= limit
            verdict = "" if met or smoke else "missed"
        table.add_row(
            result.name,
            f"{result.ours * 1e3:.3f} ms",
            f"{result.other * 1e3:.3f} ms",
            f"{result.ratio:.3f}",
            target,
            verdict,
            result.note,
        )
    terminalreporter.section("ratios")
    if smoke:
        terminalreporter.write_line("--smoke: one round at the smallest size, figures mean nothing")
    # As wide as it needs to be, into a file too.
    console = Console(file=terminalreporter._tw._file, width=200, highlight=False)
    console.print(table)
