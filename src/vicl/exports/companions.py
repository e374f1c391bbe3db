"""Files that stand beside answers and say what their numbers mean; a person's own are kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vicl.exports.annotation import ExportError
from vicl.files import display, reason, write_atomic
from vicl.files.plain_json import parse_json


def check_companions(companions: Mapping[Path, bytes]) -> None:
    """Refuse to replace a file that says something else.

    Raises:
        ExportError: If one of them is there with other content, or cannot be read.
    """
    for path, data in companions.items():
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ExportError(f"{display(path)}: cannot be read ({reason(error)})") from error
        if not _same(found, data):
            raise ExportError(
                f"{display(path)}: is there already and says something else than these answers' "
                "classes; write to another folder, or remove it if nothing needs it"
            )


def write_companions(companions: Mapping[Path, bytes]) -> None:
    """Write those that are not there yet.

    Raises:
        ExportError: As :func:`check_companions`; then none is written.
    """
    check_companions(companions)
    for path, data in companions.items():
        if not path.exists():
            write_atomic(path, data)


def _same(found: bytes, data: bytes) -> bool:
    """Whether two files say the same: line ends and JSON's spaces do not count."""
    if found.replace(b"\r\n", b"\n").rstrip() == data.rstrip():
        return True
    try:
        same: bool = parse_json(found) == parse_json(data)
    except ValueError:
        return False
    return same
