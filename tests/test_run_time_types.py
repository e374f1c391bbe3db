"""The run-time type checker, under which all tests run."""

from __future__ import annotations

import random
from typing import Any

import jaxtyping
import pytest

from vicl.evaluation.reporting.gallery import choose


def test_an_int_will_do_for_a_float_and_a_text_will_not() -> None:
    numbers: list[Any] = list(range(9))
    texts: list[Any] = [str(number) for number in numbers]
    assert len(choose(numbers, higher_is_better=True, each=1)) == 3
    with pytest.raises(jaxtyping.TypeCheckError, match=r"Sequence\[float\]"):
        choose(texts, higher_is_better=True)


def test_a_test_draws_the_same_items_every_time(request: pytest.FixtureRequest) -> None:
    assert random.random() == random.Random(request.node.nodeid).random()
