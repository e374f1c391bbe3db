"""What a folder of figures was made with, so that a run is gone on with as it was begun."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vicl.files import FileError, display, open_plain, write_atomic
from vicl.files.plain_json import parse_json


def check_own(shards: Sequence[str], settings: Path) -> None:
    """Refuse a folder with shards of which nobody knows what they are of.

    Args:
        shards: Names of those that would be taken for its own.
        settings: The file beside them that would say it.

    Raises:
        FileError: If there are shards, and not the file.
    """
    if shards and not settings.exists():
        raise FileError(
            f"{display(settings.parent)}: holds {min(shards)} and no {settings.name} that says "
            "what it is of; choose another folder, or remove the shards"
        )


def check_settings(settings: dict[str, Any], path: Path) -> None:
    """Write down what the figures are, or see that those which are there are the same.

    Args:
        settings: What JSON can hold.
        path: A file in the folder of the figures.

    Raises:
        FileError: If the folder holds figures of other settings, or cannot be written.
    """
    if path.exists():
        with open_plain(path) as stream:
            try:
                found = parse_json(stream.read())
            except ValueError as error:
                raise FileError(
                    f"{display(path)}: is not JSON; remove it and the figures beside it"
                ) from error
        if found != settings:
            raise FileError(
                f"{display(path.parent)}: holds figures of other settings (see {path.name}); "
                "choose another folder, or the same settings to go on"
            )
        return
    write_atomic(path, (json.dumps(settings, indent=1) + "\n").encode())
