"""The `model.yaml` beside a published VQGAN: read as data, and compared with the weights.

It names classes to import under `target:`; those stay words.
"""

from __future__ import annotations

import os
from typing import Any

from vicl.files import display, open_plain, reason
from vicl.files.plain_yaml import FAULTS, parse
from vicl.models.configs import VQGANConfig
from vicl.storage.folder import ModelError

_LIMIT = 1 << 16


def check_yaml(path: str | os.PathLike[str], config: VQGANConfig) -> None:
    """Compare a VQGAN's `model.yaml` with the architecture that its weights have.

    Args:
        path: The file; as published, with `model: params: ddconfig:`.
        config: The architecture, from the weights' shapes.

    Raises:
        ModelError: If the file cannot be read, or says anything else.
    """
    name = display(path)
    params = _read(path)
    detail = params.get("ddconfig")
    said = {**params, **(detail if isinstance(detail, dict) else {})}
    resolution = said.get("resolution")
    attention = [2**level for level in config.attention_levels]
    wanted: dict[str, object] = {
        "embed_dim": config.codebook_dim,
        "n_embed": config.codebook_size,
        "double_z": False,
        "z_channels": config.latent_dim,
        "in_channels": 3,
        "out_ch": 3,
        "ch": config.base_width,
        "ch_mult": list(config.multipliers),
        "num_res_blocks": config.blocks,
    }
    if isinstance(resolution, int) and "attn_resolutions" in said:
        # Given as the side of the feature map at which attention stands.
        wanted["attn_resolutions"] = [resolution // factor for factor in attention]
    wrong = [
        f"{key}: got {str(said[key])[:60]}, expected {value}"
        for key, value in wanted.items()
        if key in said and said[key] != value
    ]
    if wrong:
        raise ModelError(f"{name}: does not describe the VQGAN's weights; {'; '.join(wrong)}")


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What stands under `model: params:`."""
    name = display(path)
    with open_plain(path) as stream:
        text = stream.read(_LIMIT + 1)
    if len(text) > _LIMIT:
        raise ModelError(f"{name}: is larger than 64 KiB, which no configuration is")
    try:
        raw, _ = parse(text)
    except FAULTS as error:
        raise ModelError(f"{name}: is not plain YAML ({reason(error)})") from error
    model = raw.get("model") if isinstance(raw, dict) else None
    params = model.get("params") if isinstance(model, dict) else None
    if not isinstance(params, dict):
        raise ModelError(f"{name}: is not a VQGAN's configuration (it has no model: params:)")
    return params
