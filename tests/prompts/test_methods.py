"""One contract for every method on every backbone that suits it."""

from __future__ import annotations

import copy
import functools
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.adapters.bodies import library
from tests.prompts.clips import make_clip
from tests.prompts.folders import SIDE, kept
from tests.prompts.stand_ins import Stripes
from torch.nn import functional as F  # noqa: N812

from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.backbones.registry import load_backbone
from vicl.prompts.backbones.transformers import KINDS, make_backbone
from vicl.prompts.classifier import Classifier, trainable_parameters
from vicl.prompts.methods import METHODS, method
from vicl.prompts.side import SideNet
from vicl.storage.folder import ModelError

CLASSES = ("apple", "bolt", "cup")

SILENT = ("full", "partial", "bias", "adapter", "lora", "side", "vpt")
"""Methods whose last layer begins at 0."""

QUICK: list[tuple[str, str, dict[str, Any]]] = [
    ("linear", "stripes", {}),
    ("mlp", "convnext", {}),
    ("partial", "vit", {}),
    ("partial", "resnet-classifies", {}),
    ("full", "resnet-classifies", {}),
    ("bias", "siglip", {}),
    ("side", "stripes", {}),
    ("adapter", "dinov3", {}),
    ("adapter", "swin", {}),
    ("lora", "vit", {"dropout": 0.1}),
    ("vpt", "vit", {"length": 3, "dropout": 0.1}),
    ("vpt", "dinov3", {"length": 3}),
    ("vpt", "clip-vision", {"also": "class-token"}),
    ("vpt", "own", {"placement": "prepend-pixel", "depth": "shallow"}),
    ("vpt", "siglip", {"placement": "add-1", "pool": "image"}),
    ("vpt", "dinov3", {"layers": 2, "reverse": True}),
    ("vpt", "vit", {"shared": True}),
    ("vpt", "swin", {"length": 3}),
    ("vpt", "resnet-classifies", {"placement": "pad", "length": 4}),
    ("vpt", "convnext", {"placement": "below", "length": 4}),
    ("pixel", "stripes", {"width": 4}),
    ("pixel", "vit", {"place": "random-patch", "width": 5, "space": "image", "clamp": True}),
    ("reprogram", "stripes", {"image": 8}),
    ("reprogram", "resnet-classifies", {"program": "sigmoid", "border": 4, "each": 3}),
    ("pixel", "worded", {"width": 5}),
    ("vpt", "worded", {"length": 3, "also": "bias"}),
    ("lora", "worded", {}),
]
TOKENS = ("vit", "dinov2-registers-classifies", "dinov3", "clip-vision", "siglip", "own")
MORE: list[tuple[str, str, dict[str, Any]]] = [
    *(("linear", kind, {}) for kind in ("vit", "swin", "resnet-classifies")),
    ("mlp", "stripes", {}),
    *(("partial", kind, {}) for kind in ("siglip", "swin", "resnet", "dinov3-convnext")),
    *(("full", kind, {}) for kind in ("vit", "swin-classifies", "own", "dinov3", "siglip")),
    *(("bias", kind, {}) for kind in ("vit", "dinov2", "resnet-classifies", "siglip-vision")),
    *(("adapter", kind, {}) for kind in TOKENS),
    *(("lora", kind, {}) for kind in (*TOKENS, "swin")),
    ("lora", "convnext", {"targets": "all", "rank": 2, "dropout": 0.1}),
    *(("vpt", kind, {"length": 3}) for kind in TOKENS),
    ("vpt", "vit", {"depth": "shallow"}),
    ("vpt", "vit", {"project": 4}),
    ("vpt", "dinov3", {"placement": "add"}),
    ("vpt", "vit", {"layers": 2, "expand": False, "pool": "mae"}),
    ("vpt", "dinov2", {"also": "new-class-token", "length": 0}),
    ("vpt", "swin", {"depth": "shallow", "also": "bias"}),
    *(
        ("vpt", kind, {"placement": place, "length": 4})
        for place in ("pad", "below")
        for kind in ("vit", "dinov3", "swin", "siglip", "dinov3-convnext")
    ),
    ("pixel", "vit-classifies", {"width": 5, "readout": "labels", "labels": "random"}),
    ("pixel", "swin", {"place": "full"}),
    *((name, "worded", {}) for name in ("linear", "partial", "full", "bias", "adapter")),
]
WORDED = {"zero-shot", "coop", "cocoop", "upt"}
"""Those that learn words; see `test_worded_methods.py`."""
CASES = [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backbones")


@functools.cache
def backbone_of(kind: str, root: Path) -> Backbone:
    """Loaded once: the contract says that no method changes it."""
    if kind == "worded":
        make_clip(root / kind)
        return load_backbone(str(root / kind), device="cpu")
    return Stripes() if kind == "stripes" else load_backbone(str(kept(kind, root)), device="cpu")


def make(name: str, backbone: Backbone, **options: Any) -> Classifier:
    one = method(name)
    generator = torch.Generator().manual_seed(0)
    return one.make(backbone, CLASSES, one.options(**options), generator)


def loss_of(made: Classifier, image: torch.Tensor) -> torch.Tensor:
    logits = made(image)
    loss = F.cross_entropy(logits, torch.arange(len(image)) % len(CLASSES))
    extra = made.penalty()
    return loss if extra is None else loss + extra


@pytest.mark.parametrize("name", SILENT)
def test_what_moves_features_says_nothing_at_first(name: str, tmp_path: Path) -> None:
    """The first step moves the last layer alone: a random one would spoil the features."""
    if name == "lora":
        pytest.importorskip("peft")
    backbone = load_backbone(str(kept("vit", tmp_path)), device="cpu")
    row = method(name)
    made = row.make(backbone, ("a", "b", "c"), row.options(), torch.Generator().manual_seed(0))
    logits = made(torch.rand(2, 3, backbone.side, backbone.side))
    assert torch.equal(logits, torch.zeros(2, 3))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2])).backward()
    moved = {
        key
        for key, weight in made.named_parameters()
        if weight.grad is not None and weight.grad.any()
    }
    assert moved == {"head.weight", "head.bias"}


def test_every_method_is_here() -> None:
    assert {name for name, _, _ in QUICK} | WORDED == {one.name for one in METHODS}


@pytest.mark.parametrize(("name", "kind", "options"), CASES, ids=str)
def test_the_contract(name: str, kind: str, options: dict[str, Any], root: Path) -> None:
    backbone = backbone_of(kind, root)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    made = make(name, backbone, **options)
    assert made.side <= backbone.side
    assert made.head_only == (name in ("linear", "mlp"))
    for key, weight in made.named_parameters():
        if key.endswith("head.weight") and not weight.any():  # as after some steps
            torch.nn.init.normal_(weight)
    image = torch.rand(3, 3, made.side, made.side, generator=torch.Generator().manual_seed(1))

    made.eval()
    with torch.no_grad():
        answers = made(image)
        singles = torch.cat([made(one[None]) for one in image])
    assert answers.shape == (3, len(CLASSES))
    assert answers.isfinite().all()
    torch.testing.assert_close(answers, singles, atol=1e-5, rtol=1e-4)
    shown = made.shown(image)
    assert shown.shape[:2] == (3, 3)
    assert 0 <= shown.min() <= shown.max() <= 1
    pictures = made.pictured()
    assert bool(pictures) == (name in ("pixel", "reprogram") or options.get("placement") == "pad")
    assert all(0 <= one.min() <= one.max() <= 1 for one in pictures.values())

    state = made.state_dict()
    learned = {key for key, p in made.named_parameters() if p.requires_grad}
    own = {key for key, _ in made.named_buffers() if not key.startswith("backbone.")}
    if not made.whole:
        assert learned <= state.keys() <= learned | own
    saved = {key: value.clone() for key, value in state.items()}

    made.train()
    assert made.backbone.training == made.whole
    made.prepare(0, lambda: iter([(image, torch.arange(3))]))
    optimiser = torch.optim.SGD([p for p in made.parameters() if p.requires_grad], lr=0.1)
    loss = loss_of(made, image)
    assert loss.isfinite()
    loss.backward()
    for key, weight in made.named_parameters():
        assert (weight.grad is not None) == weight.requires_grad, key
        zero = {"lora_A", "down"} & set(key.split("."))  # behind what starts at 0
        blind = key.endswith("k_proj.bias")  # attention does not see it
        if weight.grad is not None and not zero and not blind:
            assert weight.grad.any(), key
    optimiser.step()
    made.tidy()

    for key, value in backbone.state_dict().items():
        assert torch.equal(value, before[key]), key
    after = dict(made.named_parameters())
    for key, weight in made.backbone.named_parameters():
        if not after[f"backbone.{key}"].requires_grad and key in before:
            assert torch.equal(weight, before[key]), key

    made.eval()
    other = make(name, backbone, **options).eval()
    other.load_state_dict(made.state_dict())
    with torch.no_grad():
        assert torch.equal(other(image), made(image))
        other.load_state_dict(saved)
        assert torch.equal(other(image), answers)
        assert torch.equal(copy.deepcopy(made)(image), made(image))


def test_what_a_head_reads_of_features_is_what_it_says_of_images(root: Path) -> None:
    for name in ("linear", "mlp"):
        made: Any = make(name, backbone_of("stripes", root)).eval()
        assert made.head_only
        image = torch.rand(2, 3, 16, 16)
        features = made.backbone.features(made.backbone.normalise(image))
        assert torch.equal(made.read(features), made(image))


def test_additions_begin_at_nothing(root: Path) -> None:
    backbone = backbone_of("vit", root)
    image = torch.randn(2, 3, SIDE, SIDE)
    as_it_is = backbone.features(image)
    adapted: Any = make("adapter", backbone)
    assert torch.equal(adapted.features(image), as_it_is)
    lowered: Any = make("lora", backbone)
    torch.testing.assert_close(lowered.backbone.features(image), as_it_is)
    with torch.no_grad():
        for weight in (*adapted.adapters.parameters(), *lowered.backbone.parameters()):
            if weight.requires_grad:
                weight.copy_(torch.linspace(-1, 1, weight.numel()).view(weight.shape))
    assert not torch.allclose(adapted.features(image), as_it_is)
    assert not torch.allclose(lowered.backbone.features(image), as_it_is)


def test_lora_needs_its_library(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r'pip install "vicl\[lora\]"'):
        make("lora", backbone_of("vit", root))


def test_the_side_network_takes_the_weights_of_an_alexnet(tmp_path: Path, root: Path) -> None:
    net = SideNet(torch.Generator().manual_seed(1))
    state = {**net.state_dict(), "classifier.6.weight": torch.zeros(2, 2)}
    save_file(state, tmp_path / "alexnet.safetensors")
    made: Any = make(
        "side", backbone_of("stripes", root), weights=f"{tmp_path}/alexnet.safetensors"
    )
    pixels = torch.randn(1, 3, 96, 96)
    assert torch.equal(made.net(pixels), net(pixels))
    assert net(pixels).shape == (1, 9216)
    del state["features.3.bias"]
    save_file(state, tmp_path / "broken.safetensors")
    with pytest.raises(ModelError, match=r"features\.3\.bias: got nothing, expected \(192,\)"):
        make("side", backbone_of("stripes", root), weights=f"{tmp_path}/broken.safetensors")


def test_the_published_adapter_moves_one_bias(root: Path) -> None:
    made: Any = make("adapter", backbone_of("vit", root), published=True)
    optimiser = torch.optim.Adam([p for p in made.parameters() if p.requires_grad], lr=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        loss_of(made, torch.rand(3, 3, SIDE, SIDE)).backward()
        optimiser.step()
    for adapter in made.adapters:
        assert adapter.up.bias.any()
        assert not any(w.any() for w in (adapter.up.weight, *adapter.down.parameters()))


def test_the_whole_backbones_running_averages_are_kept(root: Path) -> None:
    made = make("full", backbone_of("resnet", root)).train()
    made(torch.rand(3, 3, SIDE, SIDE))
    averages = [key for key in made.state_dict() if key.endswith("running_mean")]
    assert averages
    other = make("full", backbone_of("resnet", root)).eval()
    other.load_state_dict(made.state_dict())
    image = torch.rand(1, 3, SIDE, SIDE)
    assert torch.equal(other(image), made.eval()(image))


@pytest.mark.parametrize(
    ("name", "kind", "options", "words"),
    [
        ("partial", "vit", {"layers": 9}, "layers: got 9, expected at most the backbone's 3"),
        ("adapter", "resnet", {}, "have no MLPs"),
        ("lora", "convnext", {}, "no matrices of queries and values"),
        ("vpt", "resnet", {}, "has no tokens, so it takes pad or below"),
        ("vpt", "swin", {"project": 4}, "project: got 4, but a prompt in a Swin heeds"),
        ("vpt", "vit", {"layers": 9}, "layers: got 9"),
        ("vpt", "vit", {"placement": "add", "project": 4}, "project: goes with"),
        ("vpt", "vit", {"placement": "prepend-pixel"}, "say depth=shallow"),
        ("vpt", "vit", {"placement": "add", "pool": "prompt"}, "there are no prompts"),
        ("vpt", "vit", {"placement": "pad", "project": 4}, "project: got 4, but placement=pad"),
        ("vpt", "siglip", {"also": "class-token"}, "has no class token"),
        ("side", "stripes", {"weights": "nothing.safetensors"}, "nothing.safetensors"),
        ("pixel", "vit", {"readout": "labels", "width": 4}, "no classifier of its own"),
    ],
)
def test_what_does_not_fit_is_named(
    name: str, kind: str, options: dict[str, Any], words: str, root: Path
) -> None:
    with pytest.raises((ValueError, OSError), match=words):
        make(name, backbone_of(kind, root), **options)


def test_counts_of_large_models() -> None:
    lib = library()
    with torch.device("meta"):
        net = lib.ViTModel(lib.ViTConfig(), add_pooling_layer=False)
    backbone = make_backbone(net, KINDS["vit"], "ViT-B").requires_grad_(False)
    bare = sum(p.numel() for p in backbone.parameters())
    assert bare == 85_798_656
    generator = torch.Generator().manual_seed(0)
    vpt: Any = method("vpt")
    for classes, length, depth, count, total in (
        (6, 100, "deep", 926_214, 86_724_870),
        (10, 100, "deep", 929_290, None),
        (397, 5, "deep", 351_373, 86_150_029),
        (6, 100, "shallow", 100 * 768 + 6 * 769, None),
    ):
        names = [str(index) for index in range(classes)]
        options: Any = vpt.options(length=length, depth=depth)
        made = vpt.make(backbone, names, options, generator)
        assert trainable_parameters(made) == count
        if total is not None:
            assert sum(p.numel() for p in made.parameters()) == total
    side = method("side").make(backbone, CLASSES, method("side").options(), generator)
    assert trainable_parameters(side) == 2_469_696 + 9216 * 768 + 1 + 3 * 769
