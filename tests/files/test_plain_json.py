"""JSON that anybody may have written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import vicl
from vicl.files.plain_json import parse_json


def test_plain_values_come_back() -> None:
    assert parse_json('{"a": [1, 2.5, null, "b"]}') == {"a": [1, 2.5, None, "b"]}
    assert parse_json(b"[true]") == [True]


@pytest.mark.parametrize("text", ["[" * 100_000, b'{"a":' * 100_000])
def test_what_is_too_deep_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="too many sections inside one another"):
        parse_json(text)


def test_broken_text_says_where() -> None:
    with pytest.raises(json.JSONDecodeError):
        parse_json('{"a": }')
    with pytest.raises(UnicodeDecodeError):
        parse_json(b"\xff")


def test_all_of_the_package_reads_by_it() -> None:
    """But what it brings or has just written, and what may be copied from it (graphs/runner.py)."""
    package = Path(vicl.__file__).parent
    own = re.compile(r"json\.loads\((json\.dumps\(|\((PHOTOS|WEIGHTS) / )")
    others = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in package.rglob("*.py")
        if path.name != "plain_json.py" and path != package / "graphs" / "runner.py"
        for line in path.read_text("utf-8").splitlines()
        if re.search(r"json\.loads?\b", line) and not own.search(line)
    ]
    assert others == []
