"""What every method over words does alike; and how much each learns over a CLIP of full size."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import torch
from tests.adapters.bodies import library
from tests.prompts.clips import SIDE, make_clip
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.prompts.backbones.backbone import Reading
from vicl.prompts.backbones.clip import ClipBackbone
from vicl.prompts.backbones.registry import load_backbone
from vicl.prompts.backbones.worded import WordedBackbone, worded
from vicl.prompts.classifier import trainable_parameters
from vicl.prompts.methods import method
from vicl.prompts.options import PixelOptions, ZeroShotOptions
from vicl.prompts.worded import WordedClassifier

CLASSES = ("red star", "blue circle", "blue_star", "zebra")

LEARNING: dict[str, tuple[str, dict[str, Any]]] = {
    "coop": ("coop", {}),
    "coop amid": ("coop", {"position": "middle", "words": "a photo of a"}),
    "coop own": ("coop", {"class_specific": True, "context": 3}),
    "cocoop": ("cocoop", {}),
    "upt": ("upt", {}),
    "upt published": ("upt", {"attention": "published"}),
}
"""By a name: the method and its options."""


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> WordedBackbone:
    folder = tmp_path_factory.mktemp("clip")
    make_clip(folder)
    return worded(load_backbone(str(folder), device="cpu"))


def made(backbone: WordedBackbone, case: str, seed: int = 0) -> WordedClassifier:
    name, options = LEARNING[case]
    row = method(name)
    generator = Generator().manual_seed(seed)
    found = row.make(backbone, CLASSES, row.options(**options), generator)
    assert isinstance(found, WordedClassifier)
    return found


def images(count: int = 3) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=Generator().manual_seed(1))


def test_a_pixel_prompt_over_a_clip_is_read_by_words(backbone: WordedBackbone) -> None:
    generator = Generator().manual_seed(0)
    found = method("pixel").make(backbone, CLASSES, PixelOptions(width=2), generator)
    texts = ZeroShotOptions(templates=("This is a photo of a {}",))
    plain = method("zero-shot").make(backbone, CLASSES, texts, generator)
    with torch.no_grad():
        before = found(images())
        for parameter in found.parameters():
            if parameter.requires_grad:
                parameter.zero_()
        assert torch.allclose(found(images()), plain(images()), atol=1e-5)
    assert not torch.allclose(before, plain(images()), atol=1e-2)
    assert set(found.state_dict()) == {n for n, p in found.named_parameters() if p.requires_grad}


def test_texts_are_read_once_for_many_images(
    backbone: WordedBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, calls = made(backbone, "coop"), 0
    read = backbone.text_features

    def counted(*given: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return read(*given)

    monkeypatch.setattr(backbone, "text_features", counted)
    found.eval()
    with torch.no_grad():
        first = found(images())
        assert torch.equal(found(images()), first)
        assert calls == 1
        context = found.get_parameter("context")
        context.copy_(torch.randn(context.shape, generator=Generator().manual_seed(2)))
        assert not torch.allclose(found(images()), first)
        second = found(images())
    # As training steps: fused, which does not count up a tensor's version.
    optimiser = torch.optim.SGD([context], lr=10.0, fused=True)
    found(images()).square().sum().backward()
    optimiser.step()
    with torch.inference_mode():
        assert not torch.allclose(found(images()), second)
        found(images())
    assert calls == 4
    optimiser.zero_grad()
    found(images()).sum().backward()
    assert calls == 5
    found.train()
    with torch.no_grad():
        found(images())
        found(images())
    assert calls == 7


def test_other_classes_are_asked_about_images_that_are_read_alike(backbone: WordedBackbone) -> None:
    found = made(backbone, "coop")
    found.reading = Reading(None, SIDE)  # stretched
    found.temperature = 3.0
    other = found.with_classes(("a", "b"))
    assert (other.reading, other.temperature) == (found.reading, 3.0)


@pytest.mark.parametrize("case", LEARNING)
def test_a_step_changes_what_is_learned_and_nothing_else(
    backbone: WordedBackbone, case: str
) -> None:
    before = copy.deepcopy(backbone.state_dict())
    classifier = made(backbone, case).train()
    assert not classifier.backbone.training
    logits = classifier(images())
    assert logits.shape == (3, len(CLASSES))
    assert bool(logits.isfinite().all())
    F.cross_entropy(logits, torch.tensor([0, 1, 2])).backward()
    learned = {n: p for n, p in classifier.named_parameters() if p.requires_grad}
    assert set(classifier.state_dict()) == set(learned)
    for name, parameter in learned.items():
        assert parameter.grad is not None, name
        # Softmax does not see what shifts all keys alike; one vector alone has no weights to learn.
        blind = name == "attend.in_proj_bias"
        assert blind or bool(parameter.grad.abs().sum() > 0), name
    torch.optim.SGD(learned.values(), lr=0.1).step()
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize("case", LEARNING)
def test_images_are_answered_alone_as_together(backbone: WordedBackbone, case: str) -> None:
    classifier = made(backbone, case).eval()
    with torch.inference_mode():
        together = classifier(images())
        alone = torch.cat([classifier(image) for image in images().split(1)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", LEARNING)
def test_what_was_learned_is_carried_to_another_and_to_other_classes(
    backbone: WordedBackbone, case: str
) -> None:
    first, other = made(backbone, case).eval(), made(backbone, case, seed=5).eval()
    with torch.inference_mode():
        wanted = first(images())
        assert not torch.allclose(other(images()), wanted) or "words" in LEARNING[case][1]
        other.load_state_dict(first.state_dict())
        assert torch.equal(other(images()), wanted)
        if LEARNING[case][1].get("class_specific"):
            return
        # The same classes in another order: each text is its own, whatever stands beside it.
        order = [2, 0, 3, 1]
        turned = first.with_classes([CLASSES[at] for at in order])
        torch.testing.assert_close(turned(images()), wanted[:, order], atol=1e-5, rtol=1e-5)
        assert first.with_classes(["star", "bow"])(images()).shape == (3, 2)


@pytest.mark.parametrize("case", LEARNING)
def test_features_are_kept_only_where_they_stay(backbone: WordedBackbone, case: str) -> None:
    classifier = made(backbone, case).eval()
    assert classifier.head_only is not case.startswith("upt")
    if classifier.head_only:
        with torch.inference_mode():
            features = backbone.features(backbone.normalise(images()))
            assert torch.equal(classifier.read(features), classifier(images()))


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("coop", {}, 8_192),
        ("coop", {"class_specific": True}, 4 * 8_192),
        ("cocoop", {}, 35_360),
        ("upt", {}, 1_976_064),
        ("zero-shot", {}, 0),
    ],
)
def test_over_a_whole_clip_so_much_is_learned(
    name: str, options: dict[str, Any], count: int
) -> None:
    lib = library()
    with torch.device("meta"):
        config = lib.CLIPConfig(
            vision_config={"num_hidden_layers": 12, "patch_size": 16}, projection_dim=512
        )
        net = lib.CLIPModel(config)

    def words(text: str) -> Tensor:
        found = re.findall(r"\w+|[.]", text)
        return torch.tensor([[49406, *range(1, len(found) + 1), 49407]])

    backbone = ClipBackbone(net, words).requires_grad_(False)
    row = method(name)
    classifier = row.make(backbone, CLASSES, row.options(**options), Generator())
    assert trainable_parameters(classifier) == count
