"""Run by a clean environment's Python, with no network: a first answer, and every module.

Prints, as its last line, the modules that ask for a package that is not there, as JSON.
"""

from __future__ import annotations

import importlib
import json
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn


def main() -> None:
    """Answer a photograph; import all of vicl; say what is missing."""
    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, _refuse)
    socket.getaddrinfo = _refuse
    import vicl

    home = Path(vicl.__file__).resolve().parent
    if not home.is_relative_to(Path(sys.prefix).resolve()):
        sys.exit(f"{home}: vicl is not of this environment, {sys.prefix}")
    _answer(home / "photos")
    print(json.dumps(_missing(home)))


def _answer(photos: Path) -> None:
    """A newcomer's command, in this process, and what must come of it."""
    import numpy as np
    from click.testing import CliRunner
    from PIL import Image

    from vicl.cli import main as vicl

    example = (str(photos / "dandelion_2.jpg"), str(photos / "dandelion_2_mask.png"))
    query = str(photos / "dandelion_1.jpg")
    words = ["predict", "--example", *example, query, "-o", "answer.png", "--task", "segmentation"]
    done = CliRunner().invoke(vicl, words)
    if done.exit_code:
        sys.exit(f"vicl predict: ended with {done.exit_code}: {done.output}")
    with Image.open("answer.png") as answer, Image.open(photos / "dandelion_1_mask.png") as truth:
        a, b = np.asarray(answer) > 0, np.asarray(truth) > 0
    overlap = (a & b).sum() / (a | b).sum()
    if overlap < 0.5:
        sys.exit(f"answer.png: has an IoU of {overlap:.2f} with the truth, expected over 0.5")


def _missing(home: Path) -> dict[str, str]:
    """The packages that modules lack, by module."""
    found = {}
    for path in sorted(home.rglob("*.py")):
        parts = path.relative_to(home.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if parts[-1] == "__main__":
            continue  # it is the command
        try:
            importlib.import_module(name)
        except Exception as error:
            lacks = error if isinstance(error, ModuleNotFoundError) else error.__cause__
            if not isinstance(lacks, ModuleNotFoundError):
                raise
            found[name] = str(lacks.name).partition(".")[0]
    return found


def _refuse(*_given: Any, **_named: Any) -> NoReturn:
    raise OSError("there is no network here")


if __name__ == "__main__":
    main()
