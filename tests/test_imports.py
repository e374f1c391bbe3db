"""What the layers contract cannot see: an import that hides in a string."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import vicl

SOURCE = Path(vicl.__file__).parent
# `vicl.__init__` imports names when they are first used, and tells type checkers and the contract
# of each of them by a plain import; the hub asks for an extra, and the download for a file; the
# list of adapters opens its own neighbours.
ALLOWED = {"__init__.py", "adapters/registry.py", "storage/hub.py", "published/download.py"}
LOADERS = {"import_module", "__import__", "exec_module", "pkgutil"}


def is_module(text: str) -> bool:
    """Whether a string names a module of ours, or something in one, as "module:Class"."""
    if re.fullmatch(r"vicl(\.\w+)+(:\w+)?", text) is None:
        return False
    name = text.partition(":")[0]
    return bool(text.count(":")) or importlib.util.find_spec(name) is not None


def hidden(tree: ast.AST) -> Iterator[str]:
    """Names by which modules are loaded, and strings that name one of ours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if is_module(node.value):
                yield node.value
        elif isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            if name in LOADERS:
                yield name


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import_module(name)", ["import_module"]),
        ("importlib.import_module(name)", ["import_module"]),
        ("home = 'vicl.models.mae:MAE'", ["vicl.models.mae:MAE"]),
        ("load('vicl.models.mae')", ["vicl.models.mae"]),
        ("'vicl.json'; 'vicl train'; import vicl.models.mae", []),
    ],
)
def test_what_is_hidden_is_seen(code: str, found: list[str]) -> None:
    assert sorted(hidden(ast.parse(code))) == sorted(found)


def test_no_import_hides_in_a_string() -> None:
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 100
    faults = {
        path.relative_to(SOURCE).as_posix(): names
        for path in files
        if (names := list(hidden(ast.parse(path.read_text()))))
    }
    assert {name: faults[name] for name in faults.keys() - ALLOWED} == {}


def test_what_is_imported_when_it_is_used_is_imported_for_the_contract() -> None:
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    plain = {
        (alias.name, node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }
    lazy = {(name, f"vicl.{home}") for name, home in vicl._HOMES.items()}
    assert lazy <= plain
