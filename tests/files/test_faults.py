"""What is wrong with plain data, in vicl's words."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from vicl.files.faults import said, shown


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int = Field(default=1, ge=1, le=8)
    word: Literal["one", "two"] = "one"
    size: Literal["auto"] | Annotated[int, Field(ge=16)] = "auto"
    mark: int | tuple[int, int] | None = None


class Outer(BaseModel):
    inner: Inner
    share: float = Field(default=0.5, gt=0, lt=1, allow_inf_nan=False)
    names: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    flag: bool = False


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("{}", "inner: is missing"),
        ('{"inner": 7}', "inner: got 7, expected a section of keys"),
        ('{"inner": {"kount": 7}}', "inner.kount: is no key that is known here"),
        ('{"inner": {"count": 0}}', "inner.count: got 0, expected at least 1"),
        ('{"inner": {"count": 9}}', "inner.count: got 9, expected at most 8"),
        ('{"inner": {"count": "x"}}', "inner.count: got 'x', expected a whole number"),
        ('{"inner": {"count": null}}', "inner.count: got null, expected a whole number"),
        ('{"inner": {"word": true}}', "inner.word: got true, expected 'one' or 'two'"),
        ('{"inner": {"size": 3}}', "inner.size: got 3, expected 'auto' or at least 16"),
        ('{"inner": {"mark": "x"}}', "inner.mark: got 'x', expected a whole number or a list"),
        ('{"inner": {"mark": [1, "x"]}}', "inner.mark.1: got 'x', expected a whole number"),
        ('{"inner": {}, "share": 1}', "share: got 1, expected less than 1"),
        ('{"inner": {}, "share": 1e999}', "share: got inf, expected a finite number"),
        ('{"inner": {}, "names": "x"}', "names: got 'x', expected a list"),
        ('{"inner": {}, "names": [""]}', "names.0: got '', expected text of at least 1 characters"),
        ('{"inner": {}, "flag": "maybe"}', "flag: got 'maybe', expected true or false"),
        ("[]", "got [], expected a section of keys"),
        ("{", "is no JSON (EOF while parsing an object at line 1 column 1)"),
    ],
)
def test_a_check_says_where_what_and_what_was_expected(data: str, line: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Outer).validate_json(data)
    assert said(caught.value) == line


def test_what_readers_raise_is_said_without_their_words() -> None:
    with pytest.raises(json.JSONDecodeError) as broken:
        json.loads('{"a": \n nope}')
    assert said(broken.value) == "is no JSON from line 2, column 2 on"
    with pytest.raises(UnicodeDecodeError) as text:
        b"\xff".decode()
    assert said(text.value) == "is no text in UTF-8"
    with pytest.raises(ValueError, match="digits") as digits:
        json.loads("1" * 5000)
    assert said(digits.value) == "has a number of too many digits"
    assert said(RecursionError("maximum depth")) == "has too many sections inside one another"
    assert said(OSError(28, "No space left on device")) == "No space left on device"


def test_a_value_is_shown_in_a_line_that_is_not_long() -> None:
    assert shown([None, True, "a\nb"]) == r"[null, true, 'a\nb']"
    assert shown({"a": 1}) == "a section of keys"
    assert shown(list(range(9))) == "a list of 9"
    assert len(shown("x" * 500)) == 60
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    assert shown(deep) == "[a list of 1]"
    assert shown(10**5000) == "a number of too many digits"
