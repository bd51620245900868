"""What the processor that trains can do itself."""

from __future__ import annotations

from pathlib import Path

__all__ = ["computes_bfloat16"]

_CPUINFO = Path("/proc/cpuinfo")
# As Linux names them; the last one is ARM's.
_INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16"}


def computes_bfloat16(cpuinfo: Path = _CPUINFO) -> bool | None:
    """Whether processors have instructions for bfloat16; None where the system does not say.

    Without them TensorFlow takes a way round that is slower than float32.
    """
    if not cpuinfo.is_file():
        return None
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        heading, _, said = line.partition(":")
        if heading.strip() in ("flags", "Features"):  # on x86, on ARM
            return not _INSTRUCTIONS.isdisjoint(said.split())
    return None
