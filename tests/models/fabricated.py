"""Checkpoints made up in exactly the published layouts, from tiny models with random weights."""

from __future__ import annotations

import argparse
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vicl.models.configs import VQGANConfig
from vicl.models.mae_vqgan import MAEVQGAN, MAEVQGANConfig
from vicl.published.keys import published_key

HEADS = (4, 2)
YAML = """\
model:
  base_learning_rate: 4.5e-6
  target: os.system
  params:
    embed_dim: 8
    n_embed: 24
    ddconfig:
      double_z: False
      z_channels: 12
      resolution: 32
      in_channels: 3
      out_ch: 3
      ch: 32
      ch_mult: [ 1,1,2]  # num_down = len(ch_mult)-1
      num_res_blocks: 1
      attn_resolutions: [8]
      dropout: 0.0
    lossconfig:
      target: taming.modules.losses.vqperceptual.VQLPIPSWithDiscriminator
      params:
        disc_weight: 0.8
data:
  target: main.DataModuleFromConfig
"""


def tiny_config(**changes: Any) -> MAEVQGANConfig:
    fields: dict[str, Any] = {
        "canvas_size": (32, 32),
        "patch_size": 4,
        "embed_dim": 16,
        "depth": 2,
        "num_heads": HEADS[0],
        "decoder_embed_dim": 8,
        "decoder_depth": 1,
        "decoder_num_heads": HEADS[1],
        "tokenizer": VQGANConfig(
            base_width=32,
            multipliers=(1, 1, 2),
            blocks=1,
            attention_levels=(2,),
            latent_dim=12,
            codebook_size=24,
            codebook_dim=8,
        ),
    }
    return MAEVQGANConfig(**{**fields, **changes})


def tiny_model(config: MAEVQGANConfig | None = None, *, seed: int = 0) -> MAEVQGAN:
    return MAEVQGAN(config or tiny_config(), seed=seed).eval()


def state_dict(model: MAEVQGAN, *, inside: bool = True) -> OrderedDict[str, Tensor]:
    """The weights by their published names; with the fixed buffers, as torch saves them."""
    state = OrderedDict(
        (published_key(name), value.clone()) for name, value in model.state_dict().items()
    )
    state["pos_embed"] = model.positions[None].clone()
    state["decoder_pos_embed"] = model.decoder_positions[None].clone()
    if not inside:
        state = OrderedDict((k, v) for k, v in state.items() if not k.startswith("vae."))
    return state


def published(model: MAEVQGAN, *, inside: bool = True, **changes: Any) -> dict[str, Any]:
    """What the published training code saves."""
    state = state_dict(model, inside=inside)
    if inside:
        state["vae.loss.discriminator.main.0.weight"] = torch.ones(2, 2)
    setattr(state, "_metadata", {"": {"version": 1}})  # noqa: B010  as nn.Module leaves it
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(3))])
    data: dict[str, Any] = {
        "model": state,
        "optimizer": optimizer.state_dict(),
        "epoch": 3399,
        "scaler": {"scale": 65536.0, "growth_factor": 2.0, "_growth_tracker": 5},
        "args": argparse.Namespace(
            model="mae_vit_tiny_patch4", input_size=32, output_dir=Path("/logs"), dist_url="env://"
        ),
    }
    return {**data, **changes}


class Callback:
    """Stands for a class of Lightning's, which is not installed where the file is read."""

    def __init__(self) -> None:
        self.best_model_path = "/logs/best.ckpt"


def lightning(model: MAEVQGAN) -> dict[str, Any]:
    """What Lightning saves of the VQGAN: `last.ckpt`."""
    state = OrderedDict(
        (key.removeprefix("vae."), value)
        for key, value in state_dict(model).items()
        if key.startswith("vae.")
    )
    state["loss.perceptual_loss.net.slice1.0.weight"] = torch.ones(2, 3, 3, 3)
    state["loss.discriminator.main.0.weight"] = torch.ones(2, 3, 4, 4)
    state["loss.discriminator.main.3.num_batches_tracked"] = torch.tensor(7)
    return {
        "epoch": 12,
        "global_step": 84_000,
        "pytorch-lightning_version": "1.0.8",
        "callbacks": {Callback: {"best_model_score": torch.tensor(0.5), "self": Callback()}},
        "optimizer_states": [{"state": {0: {"step": 1, "exp_avg": torch.ones(4)}}}],
        "lr_schedulers": [],
        "state_dict": state,
    }


def save(data: Any, path: Path, *, zipped: bool = True) -> Path:
    torch.save(data, path, _use_new_zipfile_serialization=zipped)
    return path
