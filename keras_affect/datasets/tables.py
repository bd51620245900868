"""Tables as people have them: a csv of whatever separator, encoding and line end.

Rows are read one at a time and keep their number, so that a table may be larger than memory and
a fault in it can be named.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

__all__ = ["Table", "open_table"]

_DELIMITERS = (",", ";", "\t", "|")
# Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Table:
    """A csv whose header was understood.

    Attributes:
        path: The file.
        columns: Which column holds what: the place, from 0, of each name that was found.
        header: The header's fields as they stand in the file; of a file without a header, none.
        rows: Each further row as (its last line from 1, its fields without surrounding blanks);
            blank lines are left out.
    """

    path: Path
    columns: Mapping[str, int]
    header: tuple[str, ...]
    rows: Iterator[tuple[int, list[str]]]


def open_table(
    path: str | Path,
    known: Mapping[str, Sequence[str]],
    required: Sequence[str],
    *,
    columns: Mapping[str, str] | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    headerless: Sequence[str] | None = None,
) -> Table:
    """Open a csv and find its columns.

    Args:
        path: The file.
        known: What a column can hold, each with the headings it goes by, in lower case.
        required: Which of these must be there.
        columns: Headings of this file's own, as {"picture": "img_name"}; they go before `known`.
        encoding: A codec's name, as "cp949". None: UTF-8, or what a byte order mark says.
        delimiter: One character. None: that of ``,``, ``;``, tab and ``|`` under which the most
            columns of the header are known.
        headerless: The columns of files that may lack a header; the first row is then data
            unless it names `required`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, is not in that encoding, or lacks a column that is
            required; names the file, and the row where it is one.
    """
    path = Path(path)
    names = {name: [heading.lower() for heading in headings] for name, headings in known.items()}
    for name, heading in (columns or {}).items():
        if name not in names:
            raise ValueError(
                f"Invalid value for argument `columns`. Expected keys among {', '.join(names)}. "
                f"Received: columns={columns!r}"
            )
        names[name] = [heading.lower()]
    if delimiter is not None and len(delimiter) != 1:
        raise ValueError(
            "Invalid value for argument `delimiter`. Expected one character. "
            f"Received: delimiter={delimiter!r}"
        )
    lines = _lines(path, encoding)
    first = next((line for line in lines if line[1].strip()), None)
    if first is None:
        raise ValueError(f"{path}: the table is empty")
    choices = [_fields(first[1], each) for each in ([delimiter] if delimiter else _DELIMITERS)]
    found = [_find(fields, names) for fields in choices]
    whole = len(headerless or ())
    best = max(
        range(len(choices)),
        key=lambda i: (len(found[i]), len(choices[i]) == whole, len(choices[i])),
    )
    separator = delimiter or _DELIMITERS[best]
    missing = [name for name in required if name not in found[best]]
    if missing and headerless is not None and len(choices[best]) == len(headerless):
        places = {name: place for place, name in enumerate(headerless) if name in names}
        rows = _rows(path, _again(first, lines), separator)
        return Table(path, places, (), rows)
    if missing:
        wanted = "; ".join(f"{name} ({', '.join(names[name])})" for name in missing)
        raise ValueError(
            f"{path}, row {first[0]}: expected a header with a column for {wanted}; found "
            f"{', '.join(choices[best])[:200]}"
        )
    return Table(path, found[best], tuple(choices[best]), _rows(path, lines, separator))


def _find(fields: Sequence[str], names: Mapping[str, Sequence[str]]) -> dict[str, int]:
    lowered = [field.lower() for field in fields]
    places = {}
    for name, headings in names.items():
        place = next((lowered.index(heading) for heading in headings if heading in lowered), None)
        if place is not None:
            places[name] = place
    return places


def _fields(line: str, delimiter: str) -> list[str]:
    try:
        fields = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return [line]
    return [field.strip() for field in fields]


def _again(first: tuple[int, str], lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    yield first
    yield from lines


def _lines(path: Path, encoding: str | None) -> Iterator[tuple[int, str]]:
    """Each line with its number, decoded strictly."""
    with path.open("rb") as file:
        start = file.read(4)
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    name = encoding or marked or "utf-8"
    try:
        codec = codecs.lookup(name).name
    except LookupError:
        raise ValueError(
            "Invalid value for argument `encoding`. Expected the name of a codec, as 'cp949'. "
            f"Received: encoding={encoding!r}"
        ) from None
    wide = codec.startswith(("utf-16", "utf-32"))
    number = 0
    # A line's end is no single byte in wide encodings. Others are decoded line by line, so that
    # the one at fault is known.
    opened: IO[Any] = path.open(encoding=codec, newline="") if wide else path.open("rb")
    with opened as file:
        try:
            for number, raw in enumerate(file, 1):
                text = raw if wide else raw.decode(codec)
                yield number, text.removeprefix("\ufeff").rstrip("\r\n")
        except UnicodeError as error:
            hint = "" if encoding else "; name its encoding, as encoding='cp949' (--encoding)"
            row = number + 1 if wide else number
            reason = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
            raise ValueError(f"{path}, row {row}: not {codec} ({reason}){hint}") from None


def _rows(
    path: Path, lines: Iterator[tuple[int, str]], delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    last = 0

    def texts() -> Iterator[str]:
        nonlocal last
        for number, text in lines:
            last = number
            yield text + "\n"

    reader = csv.reader(texts(), delimiter=delimiter, skipinitialspace=True)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"{path}, row {last}: not a row of a csv ({error})") from None
        # A quoted field may run over lines: the row goes by the one it ends at.
        if any(field.strip() for field in fields):
            yield last, [field.strip() for field in fields]
