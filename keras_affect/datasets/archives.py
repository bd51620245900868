"""Archives from elsewhere, unpacked so that nothing leaves its folder and no disk is filled."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

__all__ = ["LARGEST", "extract"]

#: Most bytes that a file is unpacked to; FER2013's csv has 0.3 GB.
LARGEST = 4 * 2**30

#: Text of pixels packs about 4 to 1; what packs much better was made to fill disks.
_HIGHEST_RATIO = 100
_CHUNK = 2**20


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    open: Callable[[], IO[bytes]]
    #: Raises if the archive's own checksum is not right; called when the file was read.
    check: Callable[[], None] = lambda: None

    @property
    def file(self) -> str:
        return PurePosixPath(self.name).name


def extract(archive: Path, wanted: tuple[str, ...], folder: Path, largest: int = LARGEST) -> Path:
    """Take one file out of a zip or tar archive.

    All names in the archive are looked at first: one that would leave the folder, or a link,
    makes the whole archive suspect. Nothing but the one file is written.

    Args:
        archive: The file.
        wanted: Names to look for, without folders; the first that is there is taken.
        folder: Where to put it, under its own name; replaced if it is there.
        largest: Most bytes to write.

    Returns:
        The file.

    Raises:
        ValueError: If it is no archive or a damaged one, names a path out of the folder, holds a
            link or two files of the wanted name, unpacks to more than it may, or lacks the file;
            names the archive.
    """
    try:
        with _opened(archive) as members:
            member = _choose(archive, members, wanted)
            if member.size > min(largest, _HIGHEST_RATIO * archive.stat().st_size):
                raise ValueError(
                    f"{archive}: {member.name} would unpack to {member.size:,} bytes; not done"
                )
            target = folder / member.file
            beside = folder / f".{target.name}.unpacked"
            try:
                with member.open() as source, beside.open("wb") as file:
                    left = member.size
                    # No more than was announced, whatever the archive goes on to give.
                    while left and (chunk := source.read(min(left, _CHUNK))):
                        file.write(chunk)
                        left -= len(chunk)
                    if left or source.read(1):
                        raise ValueError(f"{archive}: {member.name} has not the size it announces")
                member.check()
                beside.replace(target)
            finally:
                beside.unlink(missing_ok=True)
    except (zipfile.BadZipFile, gzip.BadGzipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise ValueError(f"{archive}: damaged, or no archive ({error})") from None
    return target


def _choose(archive: Path, members: list[_Member], wanted: tuple[str, ...]) -> _Member:
    for name in wanted:
        found = [member for member in members if member.file == name]
        if len(found) > 1:
            places = ", ".join(member.name for member in found)
            raise ValueError(f"{archive}: holds two files of one name: {places}")
        if found:
            return found[0]
    raise ValueError(f"{archive}: holds none of {', '.join(wanted)}")


@contextmanager
def _opened(archive: Path) -> Iterator[list[_Member]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield [_of_zip(archive, zipped, info) for info in zipped.infolist()]
        return
    with tarfile.open(archive) as tarred:
        yield [_of_tar(archive, tarred, info) for info in tarred.getmembers()]


def _of_zip(archive: Path, zipped: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    # The upper half holds the mode that Unix gave the file.
    _check(archive, info.filename, stat.S_ISLNK(info.external_attr >> 16))
    if info.flag_bits & 1:
        raise ValueError(f"{archive}: {info.filename} is encrypted")
    return _Member(info.filename, info.file_size, lambda: zipped.open(info))


def _of_tar(archive: Path, tarred: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    _check(archive, info.name, not (info.isfile() or info.isdir()))

    def opened() -> IO[bytes]:
        file = tarred.extractfile(info)
        if file is None:
            raise ValueError(f"{archive}: {info.name} is no file")
        return file

    def check() -> None:
        # Gzip has its checksum at the end, behind what tarfile reads.
        while tarred.fileobj is not None and tarred.fileobj.read(_CHUNK):
            pass

    return _Member(info.name, info.size, opened, check)


def _check(archive: Path, name: str, is_link: bool) -> None:
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        raise ValueError(f"{archive}: names a path out of its folder: {name!r}")
    if is_link:
        raise ValueError(f"{archive}: {name!r} is a link, or no file at all")
