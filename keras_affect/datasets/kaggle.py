"""FER+ put together from Kaggle's pictures and GitHub's votes.

Kaggle gives FER2013's pictures to those who have an account and accepted the challenge's rules.
Credentials are taken from where Kaggle's own client looks for them: KAGGLE_API_TOKEN,
``~/.kaggle/access_token``, KAGGLE_USERNAME with KAGGLE_KEY, or ``~/.kaggle/kaggle.json``. None is
read, kept or shown by this module.

The client comes with the extra `kaggle`.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from keras_affect._files import written_whole
from keras_affect.datasets import ferplus_origin as origin
from keras_affect.datasets.archives import extract

__all__ = ["ferplus"]

_Result = TypeVar("_Result")

#: Where half a download waits for the rest, beside what it will be.
_SCRATCH = ".download"
_ARCHIVES = ("fer2013.tar.gz", "fer2013.zip")
_LONGEST_WAIT = 60.0
_TRIES = 4
_TIMEOUT = 60.0

_CREDENTIALS = (
    "Kaggle knows no valid credentials of yours: create a token at "
    "https://www.kaggle.com/settings/api and put it into KAGGLE_API_TOKEN or "
    "~/.kaggle/access_token (kaggle.json in ~/.kaggle, or KAGGLE_USERNAME with KAGGLE_KEY, do as "
    "well)"
)


def ferplus(
    out: str | Path,
    source: str = origin.COMPETITION,
    *,
    votes: str | Path | None = None,
    check: bool = True,
    say: Callable[[str], object] = lambda step: None,
) -> dict[str, int]:
    """Download FER2013's pictures and FER+'s votes into a folder that `datasets.ferplus` reads.

    What is there already and complete is not downloaded again; a download that broke off goes on
    where it stopped when this is called again. A file gets its name when it is whole.

    Args:
        out: The folder; made if it isn't there.
        source: A competition's name at Kaggle, or a data set's handle ``OWNER/NAME`` (or
            ``OWNER/NAME/VERSION``) that holds ``fer2013.csv`` or ``icml_face_data.csv``. Copies
            that hold picture files instead have lost the order that ties them to the votes.
        votes: A copy of ``fer2013new.csv``, where GitHub can't be reached.
        check: Whether to compare the whole with the digests in `datasets.ferplus_origin`; that
            reads every row, for half a minute or so.
        say: Called with each step as it begins.

    Returns:
        The number of images by split; empty without `check`.

    Raises:
        ImportError: If the extra `kaggle` is not installed.
        PermissionError: If Kaggle knows no credentials, refuses them, or wants its rules
            accepted.
        FileNotFoundError: If there is no such competition, data set or file.
        ConnectionError: If a host can't be reached, breaks off, or asks to wait too long.
        ValueError: If what came is damaged, or is not FER+.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"{out}: a file; expected a folder to put FER+ into")
    pixel_file = next((name for name in origin.PIXEL_FILES if (out / name).is_file()), None)
    client = None if pixel_file else _client()
    out.mkdir(parents=True, exist_ok=True)
    if client is not None:
        say(f"pictures from Kaggle: {source}")
        pixel_file = _pictures(client, source, out)
    if not (out / origin.VOTES_FILE).is_file():
        say(f"votes from {votes or origin.VOTES_URL}")
        _votes(out, None if votes is None else Path(votes))
    counts = {}
    if check:
        say("comparing all of it with what FER+ must be")
        counts = origin.check(out, str(pixel_file))
    shutil.rmtree(out / _SCRATCH, ignore_errors=True)
    return counts


# === Kaggle


def _client() -> Any:
    """Kaggle's client, authenticated, without its wall of text."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            # Importing it authenticates, and prints a page of help where that fails.
            from kaggle.api.kaggle_api_extended import KaggleApi

            client = KaggleApi()
            with _one_line("the account"):
                client.authenticate()
    except ModuleNotFoundError as error:
        raise ImportError(
            "downloading from Kaggle needs its client: pip install 'keras-affect[kaggle]' "
            f"({error})"
        ) from None
    except SystemExit:
        raise PermissionError(_CREDENTIALS) from None
    return client


@contextlib.contextmanager
def _one_line(what: str) -> Iterator[None]:
    """Kaggle's errors, each as what it means and what to do."""
    import requests

    try:
        yield
    except requests.exceptions.HTTPError as error:
        status = None if error.response is None else error.response.status_code
        if status == 401:
            raise PermissionError(f"Kaggle refuses the credentials. {_CREDENTIALS}") from None
        if status == 403:
            raise PermissionError(
                f"Kaggle does not give {what} to this account: open its page at "
                "https://www.kaggle.com, log in, and accept its rules (Data, then Download)"
            ) from None
        if status == 404:
            raise FileNotFoundError(f"Kaggle has no {what}") from None
        if status == 429:
            raise ConnectionError(
                "Kaggle asks to wait: too many requests. Run the same again later; it goes on "
                "where it stopped"
            ) from None
        raise ConnectionError(f"Kaggle answered {status} when asked for {what}") from None
    except requests.exceptions.RequestException as error:
        raise ConnectionError(
            f"the connection to Kaggle broke ({type(error).__name__}) over {what}. Run the same "
            "again; it goes on where it stopped"
        ) from None


def _patiently(call: Callable[[], _Result]) -> _Result:
    """Call again when Kaggle asks to wait (429), as long as it asks for."""
    import requests

    for _ in range(_TRIES - 1):
        try:
            return call()
        except requests.exceptions.HTTPError as error:
            if error.response is None or error.response.status_code != 429:
                raise
            asked = error.response.headers.get("Retry-After", "5")
            seconds = float(asked) if asked.isdigit() else 5.0
            if seconds > _LONGEST_WAIT:
                raise
            time.sleep(seconds)
    return call()


def _pictures(client: Any, source: str, out: Path) -> str:
    """Download the pictures' csv; give its name."""
    competition = "/" not in source
    what = f"the competition {source}" if competition else f"the data set {source}"
    scratch = out / _SCRATCH
    listing = client.competition_list_files if competition else client.dataset_list_files
    with _one_line(what), contextlib.redirect_stdout(io.StringIO()):
        answer = _patiently(lambda: listing(source, page_size=200))
    held = {
        str(file.name): int(file.total_bytes)
        for file in (answer.files if competition else answer.dataset_files)
    }
    name = next(
        (
            full
            for wanted in (*origin.PIXEL_FILES, *_ARCHIVES)
            for full in held
            if PurePosixPath(full).name == wanted
        ),
        None,
    )
    if name is None:
        raise FileNotFoundError(
            f"{what} holds none of {', '.join((*origin.PIXEL_FILES, *_ARCHIVES))}, but "
            f"{', '.join(held)[:200] or 'nothing'}: not FER2013 in the order of its votes"
        )
    scratch.mkdir(exist_ok=True)
    fetch = client.competition_download_file if competition else client.dataset_download_file
    # Without a terminal the client's progress bar would fill a log.
    quiet = sys.stderr is None or not sys.stderr.isatty()
    with _one_line(f"{name} of {what}"), contextlib.redirect_stdout(io.StringIO()):
        try:
            _patiently(lambda: fetch(source, name, path=str(scratch), quiet=quiet))
        except ValueError as error:
            # The client's own check against what the server announced.
            raise ValueError(f"{scratch / name}: {error}") from None
    return _unpacked(scratch, PurePosixPath(name).name, held[name], out)


def _unpacked(scratch: Path, name: str, size: int, out: Path) -> str:
    """Move the csv out of what was downloaded into its place; give its name."""
    # Kaggle names what it sends by the address it sends it from, and may zip a file on the way.
    came = [path for path in (scratch / name, scratch / f"{name}.zip") if path.is_file()]
    if not came:
        names = ", ".join(sorted(path.name for path in scratch.iterdir())) or "nothing"
        raise ValueError(f"{scratch}: expected {name} from Kaggle, found {names}")
    path = came[0]
    packed = path.suffix in (".zip", ".gz") or _is_zip(path)
    if not packed and path.stat().st_size != size:
        found = path.stat().st_size
        path.unlink()
        raise ValueError(f"{path}: {found:,} bytes, but Kaggle lists {size:,}; removed")
    try:
        csv = extract(path, origin.PIXEL_FILES, _folder(scratch / "unpacked")) if packed else path
    except ValueError:
        # Kept, it would be taken for whole the next time.
        path.unlink()
        raise
    with written_whole(out / csv.name, overwrite=True) as beside:
        csv.replace(beside)
    return csv.name


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


# === GitHub


def _votes(out: Path, copy: Path | None) -> None:
    """Put the votes beside the pictures, from a copy or from the pinned commit."""
    if copy is None:
        content = _fetch(origin.VOTES_URL)
        place = origin.VOTES_URL
    else:
        content = copy.read_bytes()
        place = str(copy)
    length = len(content.replace(b"\r\n", b"\n"))
    if length != origin.VOTES_LENGTH:
        raise ValueError(
            f"{place}: {length:,} characters, but FER+'s votes have {origin.VOTES_LENGTH:,}; "
            "another file, or cut short"
        )
    with written_whole(out / origin.VOTES_FILE) as beside:
        beside.write_bytes(content)


def _fetch(url: str) -> bytes:
    """A file of 1.6 MB; whole or not at all, so that there is nothing to resume."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:
            # One byte more than is right tells a larger file without reading it.
            return bytes(response.read(2 * origin.VOTES_LENGTH))
    except urllib.error.HTTPError as error:
        raise ConnectionError(f"{url}: answered {error.code} {error.reason}") from None
    except (OSError, EOFError) as error:
        reason = getattr(error, "reason", error)
        raise ConnectionError(
            f"{url}: could not be read ({reason}); a copy of the file can be given as votes= "
            "(--votes)"
        ) from None
