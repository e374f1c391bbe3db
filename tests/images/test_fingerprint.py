"""Images are told apart by their pixels, also those that are looked through once."""

from __future__ import annotations

import gc
import importlib
import pickle
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from vicl import VisualPrompter
from vicl.images import fingerprint, settle
from vicl.models.analogies import Analogies

MODULE: Any = importlib.import_module("vicl.images.fingerprint")


def test_pixels_types_sizes_and_order_tell_apart() -> None:
    image, other = torch.zeros(3, 2, 4), torch.ones(3, 2, 4)
    same = fingerprint(image.clone())
    assert fingerprint(image) == same
    assert len(same) == 32
    assert len({same, *map(fingerprint, (other, image.reshape(3, 4, 2), image.double()))}) == 4
    assert len({fingerprint(image, other), fingerprint(other, image), fingerprint(image)}) == 3


def test_what_is_settled_is_known_by_the_same_and_looked_through_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0))
    before = fingerprint(image)
    settle(image)
    settle(image)
    looked = Mock(wraps=MODULE._computed)
    monkeypatch.setattr(MODULE, "_computed", looked)
    assert [fingerprint(image) for _ in range(3)] == [before] * 3
    assert looked.call_count == 1
    image[0, 0, 0] += 1  # nobody should, but it is seen
    assert fingerprint(image) == fingerprint(image.clone()) != before


def test_what_is_settled_is_forgotten_with_it() -> None:
    image = torch.zeros(3, 2, 2)
    before = len(MODULE._SETTLED)
    settle(image)
    assert len(MODULE._SETTLED) == before + 1
    del image
    gc.collect()
    assert len(MODULE._SETTLED) == before


def test_a_write_while_it_is_looked_through_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    image, compute = torch.zeros(3, 2, 2), MODULE._computed

    def written(picture: torch.Tensor) -> bytes:
        found: bytes = compute(picture)
        picture.add_(1)
        return found

    settle(image)
    with monkeypatch.context() as another_thread:
        another_thread.setattr(MODULE, "_computed", written)
        fingerprint(image)
    assert fingerprint(image) == fingerprint(image.clone())


def test_examples_made_without_versions_are_looked_through_each_time() -> None:
    with torch.inference_mode():
        photo = torch.full((3, 24, 24), 0.25)
        prompter = VisualPrompter(Analogies(), [(photo, 1 - photo)])
        assert prompter.predict(torch.full((3, 24, 24), 0.5)).drawn.size == (24, 24)
        (example,) = prompter.passes[0]
        settle(example.input)
        assert example.input not in MODULE._SETTLED


@pytest.mark.parametrize("sent", [False, True], ids=["here", "in-a-worker"])
def test_a_prompters_examples_are_looked_through_once(
    sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = torch.Generator().manual_seed(0)
    photo, query = torch.rand(2, 3, 24, 24, generator=draw)
    prompter = VisualPrompter(Analogies(), [(photo, 1 - photo)])
    if sent:
        prompter = pickle.loads(pickle.dumps(prompter))
    (example,) = prompter.passes[0]
    computed = Mock(wraps=MODULE._computed)
    monkeypatch.setattr(MODULE, "_computed", computed)
    first = prompter.predict(query)
    again = prompter.predict(query)
    looked_at = [call.args[0] for call in computed.call_args_list]
    for picture in (example.input, example.output):
        assert sum(image is picture for image in looked_at) == 1
    assert first.drawn.tobytes() == again.drawn.tobytes()


def test_the_persons_own_picture_may_change_between_prompters() -> None:
    photo = torch.full((3, 24, 24), 0.25)
    output = 1 - photo
    engine, query = Analogies(), torch.full((3, 24, 24), 0.5)
    one = VisualPrompter(engine, [(photo, output)]).predict(query)
    output.numpy()[:] = 0.1  # PyTorch does not see it
    other = VisualPrompter(engine, [(photo, output)]).predict(query)
    assert one.drawn.tobytes() != other.drawn.tobytes()
