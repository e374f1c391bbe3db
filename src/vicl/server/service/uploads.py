"""A form and its files, read within limits, before anything of it is believed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from vicl.files.faults import said
from vicl.files.plain_json import parse_json
from vicl.images import ImageError, size_in_header
from vicl.server.names import plainly, safe_name
from vicl.server.problems import Refusal
from vicl.server.service.settings import ServiceSettings

_MOST_FIELDS = 32
_FIELD_BYTES = 1 << 18


@dataclass(frozen=True)
class Upload:
    """A file that was sent, in a folder that goes with the request.

    Attributes:
        name: As the sender calls it, for people; it is never used as a path.
        path: Where it is; the name there says nothing of what it is.
        digest: Hash of its bytes.
    """

    name: str
    path: Path
    digest: bytes


@dataclass
class Form:
    """What was sent: words and files, by the names of their fields."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[Upload]] = field(default_factory=dict)


class _Parser(MultiPartParser):
    """Starlette's parser, which also knows whether a form came to its end."""

    whole = False

    def on_end(self) -> None:
        """See MultiPartParser."""
        self.whole = True

    def close(self) -> None:
        """Let go of all files, also of one that a form broke off in."""
        for spooled in self._files_to_close_on_error:
            spooled.close()


async def read_form(request: Request, settings: ServiceSettings, folder: Path) -> Form:
    """Read a multipart form.

    Args:
        request: Its body has not been read.
        settings: The limits.
        folder: Where its files go; whoever calls removes it.

    Raises:
        Refusal: If it is none, is broken off, or is over a limit.
    """
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise Refusal(415, "Send a form as multipart/form-data, as `curl -F` does.")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refusal(415, "Send the body as it is: a compressed one is not unpacked.")
    check_length(request, settings.body_bytes)
    parser = _Parser(
        request.headers,
        _bounded(request, settings.body_bytes),
        max_files=settings.files,
        max_fields=_MOST_FIELDS,
        max_part_size=_FIELD_BYTES,
    )
    try:
        async with asyncio.timeout(settings.body_seconds):
            sent = await parser.parse()
    except TimeoutError as error:
        raise _too_slow(settings) from error
    except MultiPartException as error:
        much = error.message.startswith("Too many") or "exceeded" in error.message
        raise Refusal(413 if much else 400, f"The form cannot be read: {error.message}") from error
    try:
        if not parser.whole:
            raise Refusal(400, "The form breaks off before its end; send the whole of it.")
        return await asyncio.to_thread(_kept, sent.multi_items(), folder)
    finally:
        parser.close()


async def read_json(request: Request, settings: ServiceSettings) -> Any:
    """Read a body of JSON.

    Args:
        request: Its body has not been read.
        settings: The limits.

    Raises:
        Refusal: If it is none, or over a limit.
    """
    kind = request.headers.get("content-type", "application/json")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "Send JSON, as application/json.")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refusal(415, "Send the body as it is: a compressed one is not unpacked.")
    check_length(request, settings.body_bytes)
    try:
        async with asyncio.timeout(settings.body_seconds):
            data = b"".join([part async for part in _bounded(request, settings.body_bytes)])
    except TimeoutError as error:
        raise _too_slow(settings) from error
    try:
        return await asyncio.to_thread(parse_json, data)
    except ValueError as error:
        raise Refusal(400, f"The body is no JSON: {said(error)}") from error


def _too_slow(settings: ServiceSettings) -> Refusal:
    return Refusal(
        408, f"The body took more than {settings.body_seconds:g} seconds; send it quicker."
    )


def check_length(request: Request, most: int) -> None:
    """Refuse a body that says that it is longer, before any of it is read.

    Raises:
        Refusal: Then, or if what it says is no number.
    """
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdecimal() and len(length) <= 18):
        raise Refusal(400, "The request's length is no number.")
    if int(length) > most:
        raise _too_long(most)


def _too_long(most: int) -> Refusal:
    return Refusal(413, f"That is more than {most >> 20} MiB at once; send less.")


async def _bounded(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """The body as it comes, and no more than that of it, whatever length was said."""
    taken = 0
    async for chunk in request.stream():
        taken += len(chunk)
        if taken > most:
            raise _too_long(most)
        yield chunk


def _kept(items: list[tuple[str, Any]], folder: Path) -> Form:
    """Put files where engines open them; a form's names are names of nothing here."""
    form = Form()
    for number, (name, value) in enumerate(items):
        if not isinstance(value, UploadFile):
            form.fields.setdefault(name, []).append(value)
            continue
        path, digest = folder / str(number), hashlib.sha256()
        with path.open("wb") as target:
            while part := value.file.read(1 << 20):
                digest.update(part)
                target.write(part)
        kept = Upload(safe_name(value.filename or "picture"), path, digest.digest())
        form.files.setdefault(name, []).append(kept)
    return form


def check_picture(upload: Upload, limit_pixels: int) -> tuple[int, int]:
    """See by its first bytes that a file is a picture that may be opened.

    Returns:
        Its (height, width), by its header.

    Raises:
        Refusal: If it is none, or over the limit.
    """
    try:
        return size_in_header(upload.path, limit_pixels=limit_pixels)
    except ImageError as error:
        raise Refusal(
            413 if "more pixels" in str(error) else 422, plainly(error, upload.path, upload.name)
        ) from error


def check_pictures(uploads: Sequence[Upload], limit_pixels: int) -> None:
    """See that files are pictures that may be opened, each and together.

    Raises:
        Refusal: If one is none or over the limit, or all together are over twice the limit: what
            is answered first is held until the last of a request is.
    """
    sizes = [check_picture(upload, limit_pixels) for upload in uploads]
    total = sum(height * width for height, width in sizes)
    if total > 2 * limit_pixels:
        raise Refusal(
            413,
            f"{len(uploads)} pictures have {total / 1e6:.4g} Mpx together, and at most "
            f"{2 * limit_pixels / 1e6:.4g} may; send fewer at once, or shrink them.",
        )
