"""Programs, label maps and losses as in the papers and the published code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.prompts.goldens import Golden, close, put
from tests.prompts.stand_ins import Stripes
from torch.nn import functional as F  # noqa: N812

from vicl.prompts.labels import LabelMap, count, drawn, first, frequent
from vicl.prompts.options import ReprogramOptions
from vicl.prompts.readout import ByLabels
from vicl.prompts.reprogram import Reprogram, embedded, frame, program


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return Golden(shared, "reprogramming/reprogramming")


def test_the_program_of_the_paper(golden: Golden) -> None:
    weight, mask = golden.tensor("reprog.W"), frame(16, 6)
    assert torch.equal(mask, golden["mask"])
    assert torch.equal(embedded(golden["x"], 16), golden["embedded"])
    close(program(weight, mask, "tanh"), golden["program"])
    close(embedded(golden["x"], 16) + program(weight, mask, "tanh"), golden["adversarial_input"])


def test_the_programs_of_ilm(golden: Golden) -> None:
    weight = golden.tensor("reprog.W")
    around = embedded(golden["x"], 16) + program(weight, frame(16, 6), "sigmoid")
    close(around, golden["ilm_expansive_out"])
    rows = torch.arange(16)
    places = rows[:, None] / 16 + 0.5 / 16, rows[None] / 16 + 0.5 / 16
    image = torch.stack(
        [
            torch.stack(
                [
                    0.5
                    + 0.5
                    * torch.sin(
                        0.37 * (b + 1)
                        + 0.9 * c
                        + 6 * places[0].double() * (c + 1)
                        - 4 * places[1].double() * (b + 1)
                    )
                    for c in range(3)
                ]
            )
            for b in range(2)
        ]
    ).float()
    close(image + program(weight, frame(16, 10), "plain"), golden["ilm_additive_out"])


def test_the_classifier_shows_the_network_the_program() -> None:
    backbone, image = Stripes(), torch.rand(2, 3, 6, 6)
    for kind in ("tanh", "sigmoid"):
        options = ReprogramOptions(program=kind, image=6, init="normal")
        made = Reprogram(backbone, "abc", options, generator=generator())
        assert made.side == 6
        assert made.program.shape == (3, 16, 16)
        if kind == "tanh":
            adversarial = embedded(2 * image - 1, 16) + torch.tanh(made.program * frame(16, 6))
            assert adversarial.abs().max() <= 1
            seen = (adversarial + 1) / 2
        else:
            seen = embedded(image, 16) + made.program.sigmoid() * frame(16, 6)
        close(made.pixels(image), backbone.normalise(seen))
        close(made.shown(image), seen.detach())
        assert made(image).shape == (2, 3)
    whole = Reprogram(backbone, "abc", ReprogramOptions(border=3), generator=generator())
    assert whole.side == 16
    assert torch.equal(whole.mask, frame(16, 10))


def test_the_losses_of_the_paper(golden: Golden) -> None:
    logits, labels = golden["logits"], golden["labels"]
    restricted = ByLabels(LabelMap(10, 20, generator=generator()), over_all=False).train()
    loss = F.cross_entropy(restricted.read(logits), labels)
    assert restricted.extra() is None
    assert float(loss) == pytest.approx(golden.said["loss_first10_restricted_softmax"], abs=1e-5)
    full = ByLabels(LabelMap(10, 20, generator=generator()), over_all=True).train()
    loss = F.cross_entropy(full.read(logits), labels)
    extra = full.extra()
    assert extra is not None
    total = float(loss + extra)
    assert total == pytest.approx(golden.said["loss_full_softmax_over_20"], abs=1e-5)
    assert full.extra() is None  # once a batch
    full.eval().read(logits)
    assert full.extra() is None
    pairs = LabelMap(10, 20, each=2, generator=generator())
    close(pairs(logits), golden["two_to_one_mean_logits"])
    chances = LabelMap(10, 20, each=2, combine="sum", generator=generator())(logits).softmax(dim=1)
    close(chances, logits.softmax(dim=1).unflatten(1, (10, 2)).sum(dim=2))
    backbone = Stripes()
    options = ReprogramOptions(penalty=0.05, border=3)
    made = Reprogram(backbone, "ab", options, generator=generator())
    put(made.program, golden.tensor("reprog.W"))
    penalty = made.penalty()
    assert penalty is not None
    assert float(penalty.detach()) == pytest.approx(golden.said["reg_lambda0.05_sumW2"], rel=1e-6)


def test_labels_by_frequency(golden: Golden) -> None:
    taken = golden["flm_logits"].argmax(dim=1)
    pairs = zip(taken.split(7), golden["flm_labels"].split(7), strict=True)
    counts = count(pairs, 9, 3)
    assert torch.equal(counts, golden["flm_counts"])
    assert torch.equal(frequent(counts)[:, 0], golden["flm_source_for_target"])


def test_maps_give_each_label_once() -> None:
    assert torch.equal(first(3, 2), torch.tensor([[0, 1], [2, 3], [4, 5]]))
    found = drawn(4, 12, 3, generator())
    assert found.flatten().unique().numel() == 12
    counts = torch.tensor([[5, 0], [9, 8], [0, 7], [1, 2]])
    assert torch.equal(frequent(counts, 2), torch.tensor([[1, 0], [2, 3]]))
    with pytest.raises(ValueError, match="need 14, but the backbone has 12"):
        LabelMap(7, 12, each=2, generator=generator())


@pytest.mark.parametrize("mapping", ["first", "random", "frequency", "iterative"])
def test_when_labels_are_counted(mapping: str) -> None:
    backbone = Stripes()
    options = ReprogramOptions(labels=mapping, program="sigmoid", image=8)
    made: Any = Reprogram(backbone, "abcd", options, generator=generator())
    image, true = torch.rand(24, 3, 8, 8), torch.arange(24) % 4
    read = []

    def batches() -> object:
        read.append(True)
        return zip(image.split(10), true.split(10), strict=True)

    start = made.readout.labels.sets.clone()
    made.train()
    made.prepare(0, batches)
    assert made.training
    assert made.readout.labels.training
    once = made.readout.labels.sets.clone()
    taken = backbone.source_logits(made.pixels(image)).argmax(dim=1)
    expected = frequent(count([(taken, true)], 12, 4))
    assert torch.equal(once, start if mapping in ("first", "random") else expected)
    with torch.no_grad():
        made.program.normal_(generator=generator(1)).mul_(9)
    made.prepare(1, batches)
    taken = backbone.source_logits(made.pixels(image)).argmax(dim=1)
    expected = frequent(count([(taken, true)], 12, 4))
    assert torch.equal(made.readout.labels.sets, expected if mapping == "iterative" else once)
    assert "readout.labels.sets" in made.state_dict()


def test_what_does_not_fit_is_named() -> None:
    for options in (ReprogramOptions(image=16), ReprogramOptions(border=8)):
        with pytest.raises(ValueError, match="expected room around"):
            Reprogram(Stripes(), "ab", options, generator=generator())
    for readout, words in (("labels", "no classifier of its own"), ("words", "reads no words")):
        options = ReprogramOptions(image=8, readout=readout)
        with pytest.raises(ValueError, match=words):
            Reprogram(Stripes(labels=0), "ab", options, generator=generator())
