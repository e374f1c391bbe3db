"""Reading recipes: YAML with overrides in, a :class:`~vicl.training.recipe.recipe.Recipe` out.

A wrong recipe ends in one error that names every wrong key by its dotted path, with its line, what
it holds and what is allowed.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from vicl.files import display, open_plain, reason
from vicl.files.faults import complaint, place, shown
from vicl.files.packaged import RECIPES
from vicl.files.plain_yaml import FAULTS, parse
from vicl.training.recipe.data import RecipeError
from vicl.training.recipe.head import HeadRecipe, OutlineRecipe
from vicl.training.recipe.promptable import PromptableRecipe
from vicl.training.recipe.recipe import Recipe
from vicl.training.settings import Part

_HEADS = "heads"
"""Folder of the recipes over a frozen encoder, in that of all recipes."""

_SIZE_LIMIT = 1 << 16
_FAULT_LIMIT = 20

_TRAINS: dict[str, type[HeadRecipe | OutlineRecipe | PromptableRecipe]] = {
    "matching-head": HeadRecipe,
    "outline-head": OutlineRecipe,
    "promptable": PromptableRecipe,
}
"""Recipes over a frozen encoder, by what they say that they train."""

R = TypeVar("R", bound=Part)

Keys = tuple[str | int, ...]
"""Where something stands in a recipe: keys of sections and indices of lists, from the outside."""

Origins = dict[Keys, str]
"""Where the value of a key comes from, in words: a line of the file, or an override."""


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def shipped_heads() -> list[str]:
    """Names of the shipped recipes of networks over a frozen encoder's features."""
    return sorted(path.stem for path in (RECIPES / _HEADS).glob("*.yaml"))


def load_any(
    source: str | os.PathLike[str], overrides: Sequence[str] = ()
) -> Recipe | HeadRecipe | OutlineRecipe | PromptableRecipe:
    """Read and check a recipe of any kind: `trains` tells those over a frozen encoder.

    Args:
        source: As for :func:`load_recipe`.
        overrides: Likewise.

    Raises:
        RecipeError: As :func:`load_recipe`.
    """
    data, name, origins = _read(source, overrides)
    if "trains" in data:
        said = data["trains"]
        kind = _TRAINS.get(said) if isinstance(said, str) else None
        if kind is None:
            raise RecipeError(
                f"{name}: trains: got {shown(said)}, expected one of {', '.join(_TRAINS)}"
            )
        return _checked(kind, data, name, origins)
    return check_recipe(data, name, origins)


def load_recipe(source: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        source: A YAML file, or the name of a shipped recipe.
        overrides: "a.b=value" each: sets the key `b` of the section `a`, or the item `b` (counted
            from 0) of the list `a`; the value is YAML.

    Raises:
        RecipeError: If it cannot be read or is wrong; the message names every wrong key, its
            value and what is allowed.
    """
    data, name, origins = _read(source, overrides)
    return check_recipe(data, name, origins)


def _read(
    source: str | os.PathLike[str], overrides: Sequence[str]
) -> tuple[dict[str, Any], str, Origins]:
    """A recipe as plain data, what it is called, and where its values come from."""
    name = display(source)
    data, origins = _parse(read_text(source), name)
    for override in overrides:
        _override(data, override, origins)
    return data, name, origins


def check_recipe(data: Any, name: str, origins: Origins | None = None) -> Recipe:
    """Check a recipe that is plain data.

    Args:
        data: Of mappings, lists and plain values, as YAML gives it.
        name: Of the recipe, for the error.
        origins: Where its values come from, for the error.

    Raises:
        RecipeError: As :func:`load_recipe`.
    """
    return _checked(Recipe, data, name, origins or {})


def _checked(kind: type[R], data: Any, name: str, origins: Origins) -> R:
    try:
        recipe = kind.model_validate(data)
        faults = list(_truths(data, recipe.model_dump(), ()))
    except ValidationError as error:
        faults = [_fault(one, data, kind) for one in error.errors(include_url=False)]
    if not faults:
        return recipe
    lines = [_line(keys, text, origins) for keys, text in faults[:_FAULT_LIMIT]]
    if len(faults) > _FAULT_LIMIT:
        lines.append(f"and {len(faults) - _FAULT_LIMIT} more")
    raise RecipeError(f"{name}: {'; '.join(lines)}")


def read_text(source: str | os.PathLike[str]) -> str:
    """The text of a recipe, given as for :func:`load_recipe`.

    Raises:
        RecipeError: If it cannot be read.
    """
    name, text = display(source), os.fspath(source)
    heads = shipped_heads()
    known = sorted([*shipped_recipes(), *heads])
    if text in known and not os.path.isfile(text):  # noqa: PTH113 (False for names too long)
        folder = RECIPES / _HEADS if text in heads else RECIPES
        return (folder / f"{text}.yaml").read_text("utf-8")
    if not os.path.lexists(text):
        hint = _nearest(text, known)
        raise RecipeError(
            f"{name}: is neither a file nor a shipped recipe{hint}; shipped are {', '.join(known)}"
        )
    try:
        with open_plain(text) as stream:
            data = stream.read(_SIZE_LIMIT + 1)
    except (ValueError, OSError) as error:
        raise RecipeError(str(error)) from error
    if len(data) > _SIZE_LIMIT:
        raise RecipeError(f"{name}: is larger than 64 KiB, which no recipe is")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{name}: is not UTF-8 text; expected a YAML file") from error


def _parse(text: str, name: str) -> tuple[dict[str, Any], Origins]:
    try:
        data, node = parse(text)
        origins = dict(_lines(node, ()))
    except FAULTS as error:
        raise RecipeError(f"{name}: is not plain YAML ({reason(error)})") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{name}: holds no keys; expected a YAML mapping such as 'name: ...'")
    return data, origins


def _lines(node: yaml.Node | None, keys: Keys) -> Iterator[tuple[Keys, str]]:
    """The lines of all keys and items below a node."""
    children: list[tuple[str | int, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        children = [(str(key.value), key, value) for key, value in node.value]
        names: set[str | int] = set()
        for name, key, _ in children:
            # YAML lets the last one win, silently.
            if name in names:
                raise ValueError(f"line {key.start_mark.line + 1}: {name} stands there again")
            names.add(name)
    elif isinstance(node, yaml.SequenceNode):
        children = [(index, value, value) for index, value in enumerate(node.value)]
    for name, key, value in children:
        yield (*keys, name), f"line {key.start_mark.line + 1}"
        yield from _lines(value, (*keys, name))


def read_override(text: str, example: str = "optimiser.lr=1e-4") -> tuple[str, Any]:
    """The key and the value of KEY=VALUE, whose value is YAML.

    Args:
        text: As somebody typed it.
        example: One that is right, for the error.

    Raises:
        RecipeError: If it has no key, or its value is not plain YAML.
    """
    path, equals, value = text.partition("=")
    if not equals or not all(path.split(".")):
        raise RecipeError(f"--set: got {text!r}, expected KEY=VALUE, such as {example}")
    try:
        return path, parse(value[:_SIZE_LIMIT])[0]
    except FAULTS as error:
        raise RecipeError(f"--set {path}: its value is not plain YAML ({reason(error)})") from error


def _override(data: dict[str, Any], text: str, origins: Origins) -> None:
    """Set one key of a parsed recipe."""
    path, parsed = read_override(text)
    place: Any = data
    keys: Keys = ()
    *parents, last = path.split(".")
    for part in parents:
        key = _key(place, part, path)
        if isinstance(place, dict) and place.get(key) is None:
            place[key] = {}
        place, keys = place[key], (*keys, key)
    key = _key(place, last, path)
    place[key], keys = parsed, (*keys, key)
    for known in [known for known in origins if known[: len(keys)] == keys]:
        del origins[known]
    origins[keys] = "--set"


def _key(place: Any, part: str, path: str) -> str | int:
    """One part of an override's path as what it selects in `place`."""
    if isinstance(place, dict):
        return part
    if isinstance(place, list) and part.isdecimal() and len(part) < 9 and int(part) < len(place):
        return int(part)
    has = f"a list of {len(place)}" if isinstance(place, list) else f"the value {shown(place)}"
    raise RecipeError(f"--set {path}: there is no {part!r} to set, but {has}")


def _line(keys: Keys, text: str, origins: Origins) -> str:
    """One fault in words: where it comes from, its key, and what is wrong."""
    known = [origins[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in origins]
    return ": ".join([*known[:1], *([place(keys)] if keys else []), text])


def _fault(error: Any, data: Any, recipe: type[BaseModel]) -> tuple[Keys, str]:
    """What pydantic complains of: the keys as the file has them, and the complaint in words."""
    kind, message = error["type"], str(error["msg"]).removeprefix("Value error, ")
    keys, sections = _place(error["loc"], data, recipe)
    if kind == "missing":
        return keys, "is missing"
    if kind == "extra_forbidden":
        _, parents = _place(error["loc"][:-1], data, recipe)
        allowed = [name for parent in parents for name in parent.model_fields]
        hint = _nearest(str(keys[-1]), allowed)
        return keys, f"there is no such key{hint}; allowed are {', '.join(allowed)}"
    if kind == "invalid_key":
        return keys, f"got {shown(error['input'])} as a key, expected a word"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        kinds = [name for section in sections for name in _kinds(section)]
        if kind == "union_tag_not_found":
            return (*keys, "kind"), f"is missing; expected one of {', '.join(kinds)}"
        got = str(error["ctx"]["tag"])
        hint = _nearest(got, kinds)
        return (*keys, "kind"), f"got {shown(got)}, expected one of {', '.join(kinds)}{hint}"
    # A check of a whole section names the key that it is about first.
    named = re.match(r"([a-z_]+(?:\.[a-z_]+)*): ", message)
    if kind == "value_error":
        if named and any(named[1].split(".")[0] in section.model_fields for section in sections):
            return (*keys, *named[1].split(".")), message[named.end() :]
        return keys, message
    return keys, complaint(error)


def _place(
    loc: Sequence[str | int], data: Any, recipe: type[BaseModel]
) -> tuple[Keys, list[type[BaseModel]]]:
    """Where a fault is in the file, and the sections that may stand there.

    Pydantic's own place also names the kind of a section with kinds, and an index where one thing
    stands for a list of one.
    """
    keys: Keys = ()
    sections = [recipe]
    for part in loc:
        if isinstance(part, int):
            if isinstance(data, list | tuple):
                keys, data = (*keys, part), data[part] if part < len(data) else None
        elif len(sections) > 1:
            sections = [section for section in sections if part in _kinds(section)]
        else:
            keys = (*keys, part)
            fields = sections[0].model_fields if sections else {}
            sections = _sections(fields[part].annotation) if part in fields else []
            data = data.get(part) if isinstance(data, dict) else None
    return keys, sections


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a type allows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _sections(inner)]


def _kinds(section: type[BaseModel]) -> list[str]:
    """What `kind` may be in a section."""
    field = section.model_fields.get("kind")
    return [] if field is None else [str(name) for name in get_args(field.annotation)]


def _truths(given: Any, used: Any, keys: Keys) -> Iterator[tuple[Keys, str]]:
    """Find what was given as true or false (or yes, no, on, off) and used as a number."""
    if isinstance(given, bool) and not isinstance(used, bool):
        yield keys, f"got {given}, expected a number"
    elif isinstance(given, dict) and isinstance(used, tuple) and used:
        yield from _truths(given, used[0], keys)
    elif isinstance(given, dict) and isinstance(used, dict):
        for key, value in given.items():
            yield from _truths(value, used.get(key), (*keys, key))
    elif isinstance(given, list | tuple) and isinstance(used, list | tuple):
        for index, (value, meant) in enumerate(zip(given, used, strict=False)):
            yield from _truths(value, meant, (*keys, index))


def _nearest(word: str, known: Sequence[str]) -> str:
    """A hint at what may have been meant."""
    close = difflib.get_close_matches(word[:100], known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
