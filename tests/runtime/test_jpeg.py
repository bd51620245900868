from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_affect.runtime import PictureError, read_picture
from keras_affect.runtime.jpeg import _decodes_in_strips, open_within
from tests.runtime import big_jpegs

LIMIT = 8192 * 8192


def _opened(content, limit=LIMIT):
    image, full = open_within(io.BytesIO(content), limit)
    return image.size, full


@pytest.mark.parametrize(
    ("size", "limit", "decoded"),
    [
        ((800, 600), LIMIT, (800, 600)),
        ((800, 600), 800 * 600, (800, 600)),
        ((800, 600), 800 * 600 - 1, (400, 300)),
        ((801, 601), 401 * 301, (401, 301)),
        ((801, 601), 401 * 301 - 1, (201, 151)),
        ((800, 600), 100 * 75, (100, 75)),
        ((800, 600), 100 * 75 - 1, (800, 600)),  # cannot be: the caller sees it is too large
        ((30000, 30000), LIMIT, (7500, 7500)),
        ((65535, 65535), LIMIT, (8192, 8192)),
        ((65535, 9), LIMIT, (65535, 9)),
    ],
)
def test_as_many_pixels_as_the_limit_lets_be(size, limit, decoded):
    assert _opened(big_jpegs.stated(*size), limit) == (decoded, size)


def test_what_libjpeg_holds_whole_is_not_asked_for_in_part():
    assert _opened(big_jpegs.stated(30000, 30000, progressive=True)) == ((30000, 30000),) * 2


def test_colours_in_scans_of_their_own_are_recognised():
    content = bytearray(big_jpegs.stated(64, 64))
    assert _decodes_in_strips(io.BytesIO(content))
    content[content.index(b"\xff\xda") + 4] = 1  # the first scan holds one colour of three
    assert not _decodes_in_strips(io.BytesIO(content))


@given(st.binary(max_size=60))
def test_a_header_that_breaks_off_is_never_an_error_of_another_kind(rest):
    assert _decodes_in_strips(io.BytesIO(b"\xff\xd8" + rest)) in (True, False)
    whole = big_jpegs.stated(64, 64)
    assert _decodes_in_strips(io.BytesIO(whole[: len(rest)])) is False


def test_900_million_pixels_are_read_in_bounded_memory(tmp_path):
    """In a process of its own, since a process's peak never falls."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs Linux, which tells a process's peak of memory")
    path = tmp_path / "flat.jpg"
    path.write_bytes(big_jpegs.flat(30000, 30000))
    code = (
        "import re, sys, keras_affect.runtime as runtime\n"
        # Not getrusage: its peak counts that of the process which started this one.
        "status = lambda: open('/proc/self/status').read()\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+) kB', status())[1]) // 1024\n"
        "before = peak()\n"
        "picture = runtime.read_picture(sys.argv[1])\n"
        "print(*picture.size, *picture.image.size, *picture.image.getextrema(), peak() - before)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    *found, mebibytes = map(int, run.stdout.split())
    assert found == [30000, 30000, 7500, 7500, 128, 128]
    # The decoded picture has 54 MiB; all of it would be 858.
    assert 40 < mebibytes < 150


def test_900_million_pixels_that_would_need_gigabytes_are_refused():
    with pytest.raises(PictureError, match=r"the bytes given: 30000 x 30000 pixels, more than"):
        read_picture(big_jpegs.stated(30000, 30000, progressive=True))
