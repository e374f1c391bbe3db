"""What extras bring, and the command that brings it."""

from __future__ import annotations

import re
from pathlib import Path

import vicl
from making.code import made_extras
from vicl.files.extras import to_install


def test_every_extra_that_the_package_names_is_there() -> None:
    """In messages, and where the command is written out: help, the client, exported graphs."""
    named: set[str] = set()
    for path in Path(vicl.__file__).parent.rglob("*.py"):
        found = re.findall(r"vicl\[([a-z,]+)\]|to_install\('([a-z]+)'\)", path.read_text())
        named |= {extra for written, called in found for extra in (written or called).split(",")}
    assert {"app", "client", "onnx", "ray", "server", "train"} <= named
    assert named - made_extras() == set()


def test_the_command_names_all_extras() -> None:
    assert to_install("train") == 'pip install "vicl[train]"'
    assert to_install("diffusers", "hub") == 'pip install "vicl[diffusers,hub]"'
