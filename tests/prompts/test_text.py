"""CoOp: the published numbers; other classes; what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.prompts.clips import Golden, make_clip, open_golden
from torch.nn import functional as F  # noqa: N812

from vicl.prompts.backbones.registry import load_backbone
from vicl.prompts.classifier import trainable_parameters
from vicl.prompts.text import TextPrompt

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "end": ("coop.ctx4.ctx", {}),
    "middle": ("coop.ctx4.ctx", {"position": "middle"}),
    "front": ("coop.ctx4.ctx", {"position": "front"}),
    "middle_odd3": ("coop.ctx3.ctx", {"position": "middle", "context": 3}),
    "csc_end": ("coop.csc.ctx", {"class_specific": True}),
    "init_words_end": ("", {"words": "a_photo_of_a", "context": 16}),
}
"""By the name of the golden's case: its contexts, and the options."""


@pytest.fixture(scope="module")
def golden(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return open_golden(shared, "coop", tmp_path_factory.mktemp("words"))


@pytest.mark.parametrize("case", CASES)
def test_contexts_give_the_published_texts_answers_and_gradients(golden: Golden, case: str) -> None:
    drawn, options = CASES[case]
    classes, arrays = golden.said["classnames"], golden.arrays
    made = TextPrompt(
        golden.backbone,
        classes,
        **({"context": 4} | options),
        generator=torch.Generator(),
    )
    if drawn:
        with torch.no_grad():
            made.context.copy_(golden.drawn(drawn))
    torch.testing.assert_close(made.context.detach(), arrays[f"{case}/ctx"])
    told = golden.said["cases"][case]
    assert trainable_parameters(made) == told["n_trainable"]
    assert made.said.lengths == told["name_lens"]

    texts = made.said.assemble(made.context)
    torch.testing.assert_close(texts, arrays[f"{case}/prompts"], atol=1e-5, rtol=0)
    features = made.text_features()
    torch.testing.assert_close(features, arrays[f"{case}/text_features"], atol=1e-5, rtol=0)
    logits = made(golden.image)
    torch.testing.assert_close(logits, arrays[f"{case}/logits"], atol=1e-5, rtol=0)
    loss = F.cross_entropy(logits, arrays["labels"])
    assert float(loss.detach()) == pytest.approx(told["loss"], abs=1e-5)
    loss.backward()
    torch.testing.assert_close(made.context.grad, arrays[f"{case}/grad_ctx"], atol=1e-5, rtol=0)


def test_the_golden_network_reads_images_as_published(golden: Golden) -> None:
    found = golden.backbone.features(golden.backbone.normalise(golden.image))
    wanted = golden.arrays["image_features_unnormalised"]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_contexts_that_are_each_class_s_own_belong_to_the_classes(golden: Golden) -> None:
    classes = golden.said["classnames"]
    made = TextPrompt(
        golden.backbone, classes, class_specific=True, context=2, generator=torch.Generator()
    )
    with pytest.raises(ValueError, match="class_specific: each class has contexts of its own"):
        made.with_classes(["cat", "bear"])


def test_a_name_that_leaves_no_room_is_refused(tmp_path: Path) -> None:
    make_clip(tmp_path)
    backbone = load_backbone(str(tmp_path), device="cpu")
    with pytest.raises(
        ValueError, match=r"class 'abcdefghijkl': has 12 tokens, which with 16 .* 24"
    ):
        TextPrompt(backbone, ["red star", "abcdefghijkl"], generator=torch.Generator())
    TextPrompt(backbone, ["red star", "abcdefghijkl"], context=4, generator=torch.Generator())


def test_words_that_are_none_are_refused(golden: Golden) -> None:
    with pytest.raises(ValueError, match="words: got '_', expected some"):
        TextPrompt(golden.backbone, ["cat", "bear"], words="_", generator=torch.Generator())
