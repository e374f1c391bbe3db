"""A labelling program's image as a file: sent in base64, or named by a path of the media folder."""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from vicl.files.bounded import read_bounded
from vicl.server.names import safe_name
from vicl.server.problems import Refusal
from vicl.server.service.settings import ServiceSettings
from vicl.server.service.uploads import Upload, check_picture

_LOCAL: Final = "/data/local-files/"
_SENT: Final = "/data/upload/"


def from_base64(text: str, name: str, target: Path, settings: ServiceSettings) -> Upload:
    """A picture that was sent in base64.

    Args:
        text: It may be anything.
        name: What messages call it.
        target: Where it goes.
        settings: The limits.

    Raises:
        Refusal: If it is none, or over a limit.
    """
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(422, f"{name}: is no base64 ({error}).") from error
    return _kept(data, name, target, settings)


def from_place(value: str, name: str, target: Path, settings: ServiceSettings) -> Upload:
    """A picture that Label Studio names: a `data:` URI, or a path below the media folder.

    `/data/upload/1/a.jpg` is `upload/1/a.jpg` there, as in Label Studio's own folder `media`, and
    `/data/local-files/?d=a.jpg` is `a.jpg`. An address may stand before either; it is not asked.

    Args:
        value: It may be anything.
        name: What messages call it.
        target: Where a copy goes.
        settings: The folder, and the limits.

    Raises:
        Refusal: If it is none that is opened, or there is no picture.
    """
    if value[:5].lower() == "data:":
        head, comma, text = value.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise Refusal(422, f"{name}: is a data: URI, but not in base64.")
        return from_base64(text, name, target, settings)
    place = _place(value)
    if place is None:
        raise Refusal(
            422,
            f"{name}: is an address or a path, and vicl opens none that a request names. Have "
            "Label Studio send the image itself (a data: URI), or let it keep its files in a "
            "folder that vicl serve may read (--media FOLDER): uploads, or local storage.",
        )
    if settings.media is None:
        raise Refusal(
            422,
            f"{name}: is a file of Label Studio's; whoever runs vicl serve says with --media "
            "FOLDER where it lies.",
        )
    root = settings.media.resolve()
    try:
        path = (root / place).resolve()
        inside = path.is_relative_to(root) and path.is_file()
    except (OSError, ValueError, RuntimeError):
        inside = False
    if not inside:
        raise Refusal(422, f"{name}: there is no such file below the folder of --media.")
    try:
        data = read_bounded(path, settings.body_bytes)
    except ValueError as error:
        raise Refusal(422, f"{name}: cannot be read, or is larger than may be sent.") from error
    return _kept(data, name, target, settings)


def _place(value: str) -> str | None:
    """A path below the media folder, which may still lead out of it; None if it is none."""
    try:
        parts = urlsplit(value)
        query = parse_qs(parts.query, max_num_fields=8)
    except ValueError:
        return None
    path = unquote(parts.path)
    if path == _LOCAL:
        return query.get("d", [""])[0].lstrip("/") or None
    _, found, rest = path.partition(_SENT)
    return f"upload/{rest}" if found and rest else None


def _kept(data: bytes, name: str, target: Path, settings: ServiceSettings) -> Upload:
    target.write_bytes(data)
    upload = Upload(safe_name(name), target, hashlib.sha256(data).digest())
    check_picture(upload, settings.limit_pixels)
    return upload
