"""What is wrong with plain data that somebody wrote, in a sentence: the one place that knows it.

Checks by pydantic and Python's own readers speak of Python; who wrote a file should not have to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from vicl.files.plain import reason

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dataclass_exact_type": "a section of keys",
    "dataclass_type": "a section of keys",
    "dict_type": "a section of keys",
    "enum": "{expected}",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number that is not so long",
    "int_type": "a whole number",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "list_type": "a list",
    "literal_error": "{expected}",
    "mapping_type": "a section of keys",
    "model_attributes_type": "a section of keys",
    "model_type": "a section of keys",
    "none_required": "nothing",
    "string_pattern_mismatch": "text of the form {pattern}",
    "string_too_long": "text of at most {max_length} characters",
    "string_too_short": "text of at least {min_length} characters",
    "string_type": "text",
    "string_unicode": "text",
    "too_long": "at most {max_length} entries",
    "too_short": "at least {min_length} entries",
    "tuple_type": "a list",
}
"""What was expected, by the kind of fault, with the words that pydantic gives beside it."""

_SHOWN = 60
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument", "unexpected_positional_argument")
_MISSING = ("missing", "missing_argument", "missing_keyword_only_argument")
# A union's fault names the kind that was tried, after the key: `tile.constrained-int`.
_TRIED = re.compile(
    r"(bool|bytes|date|datetime|float|int|none|str|(constrained-|json-|nullable).*|.*\[.*\])"
)


def said(error: BaseException) -> str:
    """Say in one line what a reader or a check of plain data found first.

    Args:
        error: A ValidationError of pydantic; what JSON, text or YAML raises that is broken; or any
            other, which speaks for itself.
    """
    if type(error).__name__ == "ValidationError" and hasattr(error, "errors"):
        return _line(_first(error))
    if isinstance(error, json.JSONDecodeError):
        return f"is no JSON from line {error.lineno}, column {error.colno} on"
    if isinstance(error, UnicodeError):
        return "is no text in UTF-8"
    if isinstance(error, RecursionError):
        return "has too many sections inside one another"
    if isinstance(error, ValueError) and "integer string conversion" in str(error):
        return "has a number of too many digits"
    return reason(error)


def complaint(fault: ErrorDetails) -> str:
    """What one fault of a ValidationError complains of, without its place."""
    kind, given = fault["type"], fault.get("ctx", {})
    if kind in _MISSING:
        return "is missing"
    if kind in _UNKNOWN:
        return "is no key that is known here"
    if kind == "value_error":
        return str(given["error"])
    if kind == "json_invalid":
        return f"is no JSON ({given['error']})"
    return f"got {shown(fault['input'])}, expected {expected(fault)}"


def expected(fault: ErrorDetails) -> str:
    """What was expected where a fault is."""
    kind = fault["type"]
    if kind in _EXPECTED:
        limits = {
            name: int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in fault.get("ctx", {}).items()
        }
        return _EXPECTED[kind].format(**limits)
    words = fault["msg"].removeprefix("Input should be ").replace("a valid ", "a ")
    return f"{words[:1].lower()}{words[1:]}"


def shown(value: Any) -> str:
    """A value in a message: one line, not long, and no word that only Python has."""
    if isinstance(value, Mapping):
        return "a section of keys"
    if isinstance(value, list | tuple):
        inner = (
            f"a list of {len(v)}" if isinstance(v, list | tuple) else shown(v) for v in value[:9]
        )
        words = f"[{', '.join(inner)}]"
        return words if len(value) <= 8 and len(words) <= _SHOWN else f"a list of {len(value)}"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    try:
        text = repr(value) if str(value).isprintable() else ascii(value)
    except ValueError:  # Python writes no integer of more than some thousand digits
        return "a number of too many digits"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def place(keys: Iterable[str | int]) -> str:
    """Where a fault is: its keys with dots between them, in one line."""
    words = ".".join(map(str, keys))
    return (words if words.isprintable() else ascii(words))[:200]


def _first(error: Any) -> list[ErrorDetails]:
    """The first fault, with those of the other kinds that its place may hold."""
    faults: list[ErrorDetails] = error.errors(include_url=False)
    keys = _keys(faults[0])
    if len(keys) == len(faults[0]["loc"]):
        return faults[:1]
    return [fault for fault in faults if _keys(fault) == keys]


def _keys(fault: ErrorDetails) -> tuple[str | int, ...]:
    loc = fault["loc"]
    tried = (i for i, part in enumerate(loc) if i and isinstance(part, str) and _is_kind(part))
    return loc[: next(tried, len(loc))]


def _is_kind(part: str) -> bool:
    return _TRIED.fullmatch(part) is not None


def _line(faults: list[ErrorDetails]) -> str:
    keys = _keys(faults[0])
    # Of several kinds that a place may hold, the one is meant whose fault lies inside it.
    inside = [fault for fault in faults if len(fault["loc"]) > len(keys) + 1]
    if inside:
        keys, text = (*keys, *inside[0]["loc"][len(keys) + 1 :]), complaint(inside[0])
    elif len(faults) > 1 and all(fault["type"] in _EXPECTED for fault in faults):
        words = " or ".join(dict.fromkeys(expected(fault) for fault in faults))
        text = f"got {shown(faults[0]['input'])}, expected {words}"
    else:
        text = complaint(faults[0])
    return f"{place(keys)}: {text}" if keys else text
