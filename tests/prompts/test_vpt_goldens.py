"""Visual prompt tuning and its baselines give what the published code gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.adapters.bodies import library
from tests.prompts.goldens import Golden, close, put
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.images.imagenet import IMAGENET_MEAN, IMAGENET_STD
from vicl.prompts.adapter import Adapter
from vicl.prompts.backbones.backbone import Reading, TokenBackbone
from vicl.prompts.backbones.transformers import KINDS, SwinBackbone, make_backbone
from vicl.prompts.classifier import Classifier, trainable_parameters
from vicl.prompts.linear import Linear
from vicl.prompts.mlp import MLP
from vicl.prompts.options import VptOptions
from vicl.prompts.parts import Bias, Full, Partial
from vicl.prompts.vpt import make_vpt

CLASSES = tuple("abcde")
ENCODER = "enc.transformer."


def names_of_vit(layers: int) -> dict[str, str]:
    """The published name of each of a ViT's weights, by transformers'."""
    found = {
        "embeddings.cls_token": "embeddings.cls_token",
        "embeddings.position_embeddings": "embeddings.position_embeddings",
    }
    modules = {
        "embeddings.patch_embeddings.projection": "embeddings.patch_embeddings",
        "layernorm": "encoder.encoder_norm",
    }
    inner = {
        "layernorm_before": "attention_norm",
        "layernorm_after": "ffn_norm",
        "mlp.fc1": "ffn.fc1",
        "mlp.fc2": "ffn.fc2",
        "attention.q_proj": "attn.query",
        "attention.k_proj": "attn.key",
        "attention.v_proj": "attn.value",
        "attention.o_proj": "attn.out",
    }
    for layer in range(layers):
        for ours, theirs in inner.items():
            modules[f"layers.{layer}.{ours}"] = f"encoder.layer.{layer}.{theirs}"
    for ours, theirs in modules.items():
        found |= {f"{ours}.{part}": f"{theirs}.{part}" for part in ("weight", "bias")}
    return {f"backbone.net.{ours}": ENCODER + theirs for ours, theirs in found.items()}


def names_beside(layers: int) -> dict[str, str]:
    """The published name of what is beside the backbone, by ours."""
    found = {
        "prompt": f"{ENCODER}prompt_embeddings",
        "deep": f"{ENCODER}deep_prompt_embeddings",
        "rows": f"{ENCODER}prompt_embeddings_tb",
        "columns": f"{ENCODER}prompt_embeddings_lr",
        "project.weight": f"{ENCODER}prompt_proj.weight",
        "project.bias": f"{ENCODER}prompt_proj.bias",
        "weight": f"{ENCODER}embeddings.patch_embeddings.weight",
        "bias": f"{ENCODER}embeddings.patch_embeddings.bias",
    }
    for part in ("weight", "bias"):
        found[f"head.{part}"] = f"head.last_layer.{part}"
        found[f"hidden.0.{part}"] = f"head.projection.0.{part}"
        found[f"hidden.2.{part}"] = f"head.projection.2.{part}"
        for layer in range(layers):
            start = f"{ENCODER}encoder.layer.{layer}.adapter_"
            found[f"adapters.{layer}.down.{part}"] = f"{start}downsample.{part}"
            found[f"adapters.{layer}.up.{part}"] = f"{start}upsample.{part}"
    return found


NAMES = names_of_vit(4) | names_beside(4)


def vit(golden: Golden, side: int = 32) -> TokenBackbone:
    """The golden's ViT with the formula's weights."""
    lib, said = library(), golden.said["model"]
    config = lib.ViTConfig(
        hidden_size=said["hidden"],
        num_hidden_layers=said["layers"],
        num_attention_heads=said["heads"],
        intermediate_size=said["mlp"],
        image_size=side,
        patch_size=said["patch"],
        layer_norm_eps=said["layernorm_eps"],
    )
    net = lib.ViTModel(config, add_pooling_layer=False)
    backbone = make_backbone(net, KINDS["vit"], "golden").requires_grad_(False).eval()
    assert isinstance(backbone, TokenBackbone)
    backbone.colours(IMAGENET_MEAN, IMAGENET_STD)
    backbone.reading = Reading(None, said["img"])
    for name, weight in backbone.named_parameters():
        put(weight, golden.tensor(f"vpt.{NAMES[f'backbone.{name}']}", tuple(weight.shape)))
    return backbone


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def tuned(**options: Any) -> Callable[[TokenBackbone], Classifier]:
    chosen = VptOptions(**{"length": 3, "depth": "shallow"} | options)
    return lambda backbone: make_vpt(backbone, CLASSES, chosen, generator())


def partial(layers: int) -> Callable[[TokenBackbone], Classifier]:
    return lambda backbone: Partial(backbone, CLASSES, layers=layers)


DEEP = {"depth": "deep"}
CASES: dict[str, Callable[[Any], Classifier]] = {
    "linear": lambda backbone: Linear(backbone, CLASSES, generator=generator()),
    "shallow": tuned(),
    "deep": tuned(**DEEP),
    "deep_project8": tuned(**DEEP, project=8),
    "adapter_r8": lambda backbone: Adapter(backbone, CLASSES, generator=generator()),
    "mlp2": lambda backbone: MLP(backbone, CLASSES, layers=2, generator=generator()),
    "partial-1": partial(1),
    "partial-2": partial(2),
    "partial-4": partial(4),
    "tinytl-bias": lambda backbone: Bias(backbone, CLASSES),
    "end2end": lambda backbone: Full(backbone, CLASSES),
    "cls": tuned(length=0, also="class-token"),
    "prompt+bias": tuned(also="bias"),
    "cls+prompt": tuned(also="class-token"),
}
ABLATIONS = {
    "prepend_pixel": tuned(placement="prepend-pixel"),
    "add": tuned(placement="add"),
    "add1": tuned(placement="add-1"),
    "pad2": tuned(placement="pad", length=4),
    "below2": tuned(placement="below", length=2),
    "deep_first3": tuned(**DEEP, layers=3),
    "deep_first2_noexpand": tuned(**DEEP, layers=2, expand=False),
    "reverse_last2": tuned(**DEEP, layers=2, reverse=True, published=True),
    "deep_shared": tuned(**DEEP, shared=True, published=True),
    "deep_add": tuned(**DEEP, placement="add"),
    "pool_img": tuned(pool="image"),
    "pool_prompt": tuned(pool="prompt"),
    "pool_imgprompt": tuned(pool="image-prompt"),
}


def filled(golden: Golden, make: Callable[[Any], Classifier], side: int = 32) -> Classifier:
    """A classifier with the formula's weights everywhere."""
    made = make(vit(golden, side)).eval()
    for name, weight in made.named_parameters():
        if not name.startswith("backbone."):
            put(weight, golden.tensor(f"vpt.{NAMES[name]}", tuple(weight.shape)))
    return made


def features(made: Any, pixels: Tensor) -> Tensor:
    """Features of normalised pixels."""
    whole = made if hasattr(made, "features") else made.backbone
    found: Tensor = whole.features(pixels)
    return found


def logits(made: Any, found: Tensor) -> Tensor:
    read: Tensor = made.read(found) if isinstance(made, MLP) else made.head(found)
    return read


def check_learned(made: Classifier, said: dict[str, Any]) -> None:
    learned = {NAMES[name] for name, p in made.named_parameters() if p.requires_grad}
    assert learned == set(said["trainable"])
    assert trainable_parameters(made) == said["n_trainable"]


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return Golden(shared, "vpt/vit")


@pytest.fixture(scope="module")
def ablations(shared: Path) -> Golden:
    return Golden(shared, "vpt/vit_ablations")


def test_every_case_is_compared(golden: Golden, ablations: Golden) -> None:
    assert golden.said["cases"].keys() == CASES.keys()
    assert ablations.said["cases"].keys() == ABLATIONS.keys()


@pytest.mark.parametrize("case", CASES)
def test_tuning_a_vit(case: str, golden: Golden) -> None:
    said, made = golden.said["cases"][case], filled(golden, CASES[case])
    check_learned(made, said)
    assert sum(p.numel() for p in made.parameters()) == said["n_total"]
    if f"{case}/feature" not in golden.said["arrays"]:
        return
    entering: list[Tensor] = []
    for block in made.backbone.blocks():
        block.register_forward_pre_hook(lambda _module, inputs: entering.append(inputs[0]))
    found = features(made, golden["x"])
    close(found, golden[f"{case}/feature"])
    assert [tokens.shape[1] for tokens in entering] == said["tokens_per_layer"]
    for index, tokens in enumerate(entering):
        if f"{case}/tokens_in{index}" in golden.said["arrays"]:
            close(tokens, golden[f"{case}/tokens_in{index}"])
    answers = logits(made, found)
    close(answers, golden[f"{case}/logits"])
    if "loss" not in said:
        return
    loss = F.cross_entropy(answers, golden["labels"])
    assert float(loss.detach()) == pytest.approx(said["loss"], abs=1e-5)
    loss.backward()
    weights = {NAMES[name]: p for name, p in made.named_parameters() if p.requires_grad}
    start = f"{case}/grad/"
    given = [key for key in golden.said["arrays"] if key.startswith(start)]
    assert len(given) >= 3
    for key in given:
        gradient = weights[key.removeprefix(start)].grad
        assert gradient is not None
        close(gradient, golden[key])


@pytest.mark.parametrize("case", ABLATIONS)
def test_placements_depths_and_pools(case: str, ablations: Golden) -> None:
    said = ablations.said["cases"][case]
    made = filled(ablations, ABLATIONS[case], 40 if case == "pad2" else 32)
    check_learned(made, said)
    if case != "below2":  # the frozen first convolution is kept beside the learned one
        assert sum(p.numel() for p in made.parameters()) == said["n_total"]
    found = features(made, ablations["x"])
    close(found, ablations[f"{case}/feature"])
    close(logits(made, found), ablations[f"{case}/logits"])


def swin(golden: Golden) -> SwinBackbone:
    """The golden's Swin with the formula's weights."""
    lib, said = library(), golden.said["model"]
    config = lib.SwinConfig(
        image_size=said["img"],
        patch_size=said["patch"],
        embed_dim=said["embed"],
        depths=said["depths"],
        num_heads=said["heads"],
        window_size=said["window"],
        layer_norm_eps=1e-5,
    )
    net = lib.SwinModel(config)
    for block in net.encoder.layers[-1].blocks:
        # The golden's last stage has windows as small as itself.
        bias = block.attention.relative_position_bias
        block.attention.relative_position_bias = type(bias)(said["heads"][-1], (2, 2))
    names = {"embeddings.norm": "patch_embed.norm", "layernorm": "norm"}
    names["embeddings.patch_embeddings.projection"] = "patch_embed.proj"
    inner = {
        "layernorm_before": "norm1",
        "layernorm_after": "norm2",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
        "attention.o_proj": "attn.proj",
    }
    state = net.state_dict()
    for stage, depth in enumerate(said["depths"]):
        if stage < len(said["depths"]) - 1:
            names[f"encoder.layers.{stage}.downsample.norm"] = f"layers.{stage}.downsample.norm"
            reduction = f"layers.{stage}.downsample.reduction.weight"
            state[f"encoder.{reduction}"] = golden.tensor(f"swin.{reduction}")
        for at in range(depth):
            ours, theirs = f"encoder.layers.{stage}.blocks.{at}", f"layers.{stage}.blocks.{at}"
            names |= {f"{ours}.{a}": f"{theirs}.{b}" for a, b in inner.items()}
            table = "relative_position_bias_table"
            key = f"swin.{theirs}.attn.{table}"
            shape = tuple(state[f"{ours}.attention.relative_position_bias.{table}"].shape)
            state[f"{ours}.attention.relative_position_bias.{table}"] = golden.tensor(key, shape)
            for part in ("weight", "bias"):
                whole = golden.tensor(f"swin.{theirs}.attn.qkv.{part}").chunk(3)
                for which, value in zip("qkv", whole, strict=True):
                    state[f"{ours}.attention.{which}_proj.{part}"] = value
    for ours, theirs in names.items():
        for part in ("weight", "bias"):
            state[f"{ours}.{part}"] = golden.tensor(f"swin.{theirs}.{part}")
    net.load_state_dict(state)
    backbone = make_backbone(net, KINDS["swin"], "golden").requires_grad_(False).eval()
    assert isinstance(backbone, SwinBackbone)
    return backbone


@pytest.fixture(scope="module")
def windows(shared: Path) -> Golden:
    return Golden(shared, "vpt/swin")


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("depth", ["shallow", "deep"])
def test_tuning_a_swin(depth: str, published: bool, windows: Golden) -> None:
    options = VptOptions(length=3, depth=depth, published=published)
    made: Any = make_vpt(swin(windows), CLASSES, options, generator())
    said = windows.said["cases"][depth]
    shapes = {"prompt_embeddings": list(made.prompt.shape)}
    put(made.prompt, windows.tensor("swin.prompt_embeddings"))
    for stage, prompt in enumerate(made.deep):
        shapes[f"deep_prompt_embeddings_{stage}"] = list(prompt.shape)
        put(prompt, windows.tensor(f"swin.deep_prompt_embeddings_{stage}"))
    assert shapes == said["prompt_params"]
    without = sum(p.numel() for p in [*made.backbone.parameters(), made.prompt, *made.deep])
    assert without == said["n_total"]
    *stages, found = made.stages(windows["x"])
    if published:
        close(found, windows[f"{depth}/feature_published_batch2"])
    else:
        close(found, windows[f"{depth}/feature"])
        for stage, tokens in enumerate(stages):
            close(tokens, windows[f"{depth}/stage{stage}_out"])
