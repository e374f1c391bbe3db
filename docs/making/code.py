"""Checks of the code in a page: it is read, parsed and looked up, and never run."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from types import ModuleType
from typing import Any

from making import ROOT
from making.commands import CommandError, check_call, check_mention, commands, vicl_words
from making.markdown import Block, blocks, spans


def code_faults(text: str) -> Iterator[str]:
    """What is wrong with the code of a page: a line and a sentence each."""
    for block in blocks(text):
        if block.language in ("python", "py"):
            yield from (f"{block.line}: {fault}" for fault in _python_faults(block.code))
        elif block.shell:
            yield from (f"{block.line}: {fault}" for fault in _shell_faults(block))
    for code, line in spans(text):
        yield from (f"{line}: {fault}" for fault in _span_faults(code))


def _shell_faults(block: Block) -> Iterator[str]:
    try:
        found = list(commands(block.code))
    except CommandError as error:
        yield str(error)
        return
    for words in found:
        called = vicl_words(words)
        try:
            if called is not None:
                check_call(called)
            else:
                check_other(words)
        except CommandError as error:
            yield str(error)


def _span_faults(code: str) -> Iterator[str]:
    if not re.match(r"(vicl|make|pip install|python benchmarks/) ?", code):
        return
    try:
        words = next(iter(commands(code)), [])
        called = vicl_words(words)
        if called is not None:
            check_mention(called)
        else:
            check_other(words)
    except CommandError as error:
        yield str(error)


def check_other(words: Sequence[str]) -> None:
    """Check a command that is not `vicl`: scripts, targets of make and extras are there.

    Raises:
        CommandError: If one is not.
    """
    said = shlex.join(words)
    if words[0] == "make":
        for target in (word for word in words[1:] if re.fullmatch(r"[a-z-]+", word)):
            if target not in make_targets():
                raise CommandError(f"{said}: the Makefile has no target {target}")
    for word in words:
        if re.fullmatch(r"(benchmarks|docs|tests)/[\w/]+\.py", word) and not (ROOT / word).exists():
            raise CommandError(f"{said}: there is no {word}")
    if words[:2] == ["pip", "install"]:
        for extras in re.findall(r"(?:vicl|\.)\[([\w,]+)\]", " ".join(words)):
            for extra in extras.split(","):
                if extra not in made_extras():
                    raise CommandError(f"{said}: pyproject.toml has no extra {extra}")


@cache
def make_targets() -> frozenset[str]:
    """The targets of the Makefile."""
    rules = re.findall(r"^([a-z-]+(?: [a-z-]+)*):", (ROOT / "Makefile").read_text(), re.M)
    return frozenset(target for rule in rules for target in rule.split())


@cache
def made_extras() -> frozenset[str]:
    """The extras of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return frozenset(project["optional-dependencies"])


def _python_faults(code: str) -> Iterator[str]:
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        yield f"Python: {error.msg} in line {error.lineno} of the block"
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and _ours(node.module):
            for name in node.names:
                yield from _missing(f"{node.module}.{name.name}")
        elif isinstance(node, ast.Import):
            for name in node.names:
                if _ours(name.name):
                    yield from _missing(name.name)
        elif isinstance(node, ast.Attribute) and (chain := _chain(node)) is not None:
            yield from _missing(chain)
        elif isinstance(node, ast.Call) and (chain := _chain(node.func)) is not None:
            yield from _odd_keywords(chain, node)


def _ours(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] == "vicl"


def _chain(node: ast.AST) -> str | None:
    """`vicl.a.b`, where that is what an expression says."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id == "vicl" and names:
        return ".".join(["vicl", *reversed(names)])
    return None


def _missing(dotted: str) -> Iterator[str]:
    try:
        _found(dotted)
    except (AttributeError, ImportError) as error:
        yield f"Python: {dotted}: {error}"


def _found(dotted: str) -> Any:
    """What a dotted name is; None below what only values have.

    Raises:
        AttributeError: If a module or a class has no such name.
        ImportError: If a module cannot be imported.
    """
    first, *rest = dotted.split(".")
    found: Any = importlib.import_module(first)
    for name in rest:
        if isinstance(found, ModuleType) and not hasattr(found, name):
            found = _submodule(found, name)
        elif isinstance(found, ModuleType):
            found = getattr(found, name)
        elif isinstance(found, type):
            fields = {**inspect.get_annotations(found), **getattr(found, "model_fields", {})}
            if not hasattr(found, name) and name not in fields:
                raise AttributeError(f"{found.__name__} has no {name}")
            found = getattr(found, name, None)
        else:
            return None
    return found


def _submodule(package: ModuleType, name: str) -> ModuleType:
    try:
        return importlib.import_module(f"{package.__name__}.{name}")
    except ModuleNotFoundError as error:
        raise AttributeError(f"there is no {name} in {package.__name__}") from error


def _odd_keywords(dotted: str, call: ast.Call) -> Iterator[str]:
    try:
        taken = inspect.signature(_found(dotted)).parameters.values()
    except (AttributeError, ImportError, TypeError, ValueError):
        return  # told as missing, or nothing that is called
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken):
        return
    names = {one.name for one in taken}
    for keyword in call.keywords:
        if keyword.arg is not None and keyword.arg not in names:
            yield f"Python: {dotted} takes no {keyword.arg}"
