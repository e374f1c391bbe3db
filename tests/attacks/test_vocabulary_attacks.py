"""Vocabularies of vision-language models, damaged at random: read, or refused in vicl's words."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.adapters import talking
from tests.adapters.bodies import library

from vicl.adapters.pieces import Pieces
from vicl.storage.folder import ModelError

JUNK: tuple[Any, ...] = (
    *(None, -1, 0, 1 << 40, 1 << 70, 1.5, "", [], {}, "x" * 1000, True, [[["a"]]]),
    *({"Regex": "(a+)+$"}, {"String": ""}, "\ud800", float("nan"), {"type": {}}),
)


def places(said: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in it; of long parts the first few."""
    keys = list(said)[:30] if isinstance(said, dict) else range(min(len(said), 8))
    for key in keys:
        yield (*above, key)
        if isinstance(said[key], dict | list):
            yield from places(said[key], (*above, key))


@pytest.mark.parametrize("kind", ["idefics2", "smolvlm", "qwen3_vl"])
def test_damaged_vocabularies_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    library()
    whole = json.loads(talking.words(kind).to_str())
    chance = random.Random(kind)
    refused = []
    for _ in range(80):
        damaged = copy.deepcopy(whole)
        *above, last = chance.choice([at for at in places(damaged) if len(at) < 5])
        part = damaged
        for key in above:
            part = part[key]
        part[last] = chance.choice(JUNK)
        (tmp_path / "tokenizer.json").write_text(json.dumps(damaged))
        try:
            pieces = Pieces(tmp_path, 10_000)
            pieces.text(pieces("a cat 12<image> dog"))
        except ModelError as error:
            refused.append(str(error))
    assert 10 < len(refused) < 80
    assert all("tokenizer.json" in message for message in refused)
