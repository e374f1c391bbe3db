"""Names of images: in addresses, of strangers' files, and in messages."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vicl.files import display


def image_id(name: str, *, uploaded: bool) -> str:
    """A short name for an image that is safe in addresses and as a folder."""
    where = "uploads/" if uploaded else "folder/"
    return hashlib.sha256((where + name).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def is_text(name: str) -> bool:
    """Whether a file name can be written as text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def safe_name(name: str) -> str:
    """A file name of a stranger, without folders and anything that is special anywhere."""
    base = name.replace("\\", "/").rpartition("/")[2]
    plain = "".join(c if c.isalnum() or c in "-_. ()" else "_" for c in base).strip(" .")
    stem, suffix = Path(plain or "image").stem[:80], Path(plain or "image").suffix[:10]
    return f"{stem or 'image'}{suffix}"


def plainly(error: Exception, path: Path, name: str) -> str:
    """An error by the name that a person knows a file by."""
    return str(error).replace(display(path), name)
