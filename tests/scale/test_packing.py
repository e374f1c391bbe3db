"""What goes to other processes comes back as it was, from memory that is shared."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.kinds import KINDS
from tests.slowly import mostly_slow

from vicl.prompting.prompter import VisualPrompter
from vicl.scale.packing import pack, unpack


def there_and_back(value: Any) -> tuple[Any, memoryview]:
    stream = io.BytesIO()
    packed = pack(value, stream)
    memory = memoryview(bytearray(stream.getvalue()))
    return unpack(packed, memory), memory


def test_tensors_of_all_kinds() -> None:
    given: dict[str, Any] = {
        "half": torch.arange(7).to(torch.bfloat16),
        "whole": torch.tensor(3),
        "none": torch.zeros(0, 4),
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "yes": torch.tensor([True, False]),
        "layer": torch.nn.Linear(3, 2),
        "array": np.arange(5.0),
    }
    found, _ = there_and_back(given)
    assert torch.equal(found["layer"].weight, given["layer"].weight)
    assert isinstance(found["layer"].weight, torch.nn.Parameter)
    for name in ("half", "whole", "none", "turned", "yes"):
        assert found[name].dtype == given[name].dtype
        assert torch.equal(found[name], given[name])
    assert np.array_equal(found["array"], given["array"])


def test_weights_are_views_of_the_memory_and_aligned() -> None:
    layer = torch.nn.Linear(64, 64)
    stream = io.BytesIO()
    packed = pack([torch.zeros(3), layer], stream)
    assert len(packed.plain) < layer.weight.nbytes
    assert all(start % 64 == 0 for start, _ in packed.cuts)
    memory = memoryview(bytearray(stream.getvalue()))
    _, found = unpack(packed, memory)
    memory[:] = bytes(len(memory))
    assert not found.weight.any()


def test_what_is_small_leaves_something_to_map() -> None:
    found, memory = there_and_back({"answer": 42})
    assert found == {"answer": 42}
    assert len(memory)


def test_read_only_memory_is_read() -> None:
    stream = io.BytesIO()
    packed = pack(torch.arange(5), stream)
    assert unpack(packed, memoryview(stream.getvalue())).tolist() == [0, 1, 2, 3, 4]


@dataclass
class Locked:
    lock: Any


def test_what_cannot_be_sent_is_told() -> None:
    with pytest.raises(ValueError, match="Locked: cannot be given to other processes"):
        pack(Locked(threading.Lock()), io.BytesIO())
    with pytest.raises(ValueError, match=r"the model is on meta.*--device cpu"):
        pack(torch.zeros(2, device="meta"), io.BytesIO())


@pytest.mark.parametrize("kind", mostly_slow(KINDS, "mae-vqgan"))
def test_every_kind_of_model_answers_as_before(kind: str) -> None:
    size = (3, 24, 24)
    shown = [(torch.full(size, 0.2), torch.full(size, 0.8))]
    prompter = VisualPrompter(KINDS[kind].build(), shown)
    query = torch.linspace(0, 1, 3 * 24 * 24).reshape(size)
    found, _ = there_and_back(prompter)
    before, after = (np.asarray(one.predict(query).image) for one in (prompter, found))
    assert np.array_equal(before, after)
