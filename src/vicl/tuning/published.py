"""What each method was published with, as defaults; and the grids that its settings are sought on.

Batches and warm-ups shrink with few images (:class:`vicl.tuning.settings.TuneSettings`); nothing
else does. Where the papers flip or crop at random, digits and the like would be spoiled, so that
only CoOp's family, whose photographs these are, does so by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_VPT: Final = {
    "optimiser": "sgd",
    "lr": 1.0,
    "weight_decay": 1e-3,
    "warmup": 10,
    "epochs": 100,
    "batch": 128,
}
"""Source: Jia et al. 2022, arXiv:2203.12119, published code."""

_LINEAR: Final = _VPT | {"batch": 1024, "weight_decay": 1e-4}

_TUNED: Final = {
    "optimiser": "adamw",
    "lr": 1e-3,
    "weight_decay": 1e-4,
    "warmup": 5,
    "epochs": 100,
    "batch": 384,
}
"""What changes the backbone itself, or adds to it. Source: as of VPT."""

_COOP: Final = {
    "optimiser": "sgd",
    "lr": 0.002,
    "scale_lr": False,
    "weight_decay": 5e-4,
    "warmup": 1,
    "first_lr": 1e-5,
    "batch": 32,
    "augment": "resized-crop",
}
"""Source: Zhou et al. 2021, arXiv:2109.01134, published code."""

_STEPS: Final = 10
"""Of an epoch at least where pixels are learned: they begin far from what they become, and were
published on tens of thousands of images. Ours: of 160 digits, two steps an epoch teach nothing."""

_PIXEL: Final = {
    "optimiser": "sgd",
    "lr": 40.0,
    "scale_lr": False,
    "weight_decay": 0.0,
    "by": "step",
    "warmup": 1000,
    "epochs": 1000,
    "batch": 128,
    "least_steps": _STEPS,
}
"""Source: Bahng et al. 2022, arXiv:2203.17274, published code."""

_REPROGRAM: Final = {
    "optimiser": "adam",
    "lr": 0.05,
    "scale_lr": False,
    "weight_decay": 0.0,
    "schedule": "decay",
    "factor": 0.96,
    "every": 2,
    "warmup": 0,
    "epochs": 100,
    "batch": 128,
    "least_steps": _STEPS,
}
"""Source: Elsayed et al. 2018, arXiv:1806.11146."""

_ILM: Final = _REPROGRAM | {
    "lr": 0.01,
    "schedule": "milestones",
    "factor": 0.1,
    "epochs": 200,
}
"""With a map of labels that is counted. Source: Chen et al. 2022, arXiv:2211.11635, its code."""

_BY_METHOD: Final[Mapping[str, dict[str, Any]]] = {
    "linear": _LINEAR,
    "mlp": _LINEAR,
    "vpt": _VPT,
    "full": _TUNED,
    "partial": _TUNED,
    "side": _TUNED,
    "bias": _TUNED,
    "adapter": _TUNED,
    "lora": _TUNED,
    "pixel": _PIXEL,
    "reprogram": _REPROGRAM,
    "coop": _COOP,
    "upt": _COOP,
    "cocoop": _COOP | {"epochs": 10, "batch": 1},
}

_GRID: Final = (50.0, 25.0, 10.0, 5.0, 2.5, 1.0, 0.5, 0.25, 0.1, 0.05)
_GRID_TUNED: Final = (5e-3, 1e-3, 5e-4, 1e-4)
_GRID_DECAY: Final = (0.01, 1e-3, 1e-4, 0.0)
"""Sources: as of VPT."""

_AROUND: Final = (5.0, 2.0, 1.0, 0.5, 0.2)
"""Of the published rate, for methods that have no grid of their own."""


def published(name: str, options: Mapping[str, Any], *, shots: int | None = None) -> dict[str, Any]:
    """Settings of the training, as far as they differ from the defaults.

    Args:
        name: Of the method; one that has none here is trained as VPT.
        options: Of the method, as far as they are given.
        shots: Images of each class; CoOp is trained longer on more.
    """
    found = dict(_BY_METHOD.get(name, _VPT))
    counted = options.get("labels") in ("frequency", "iterative")
    if name == "reprogram" and (counted or options.get("program") == "sigmoid"):
        found = dict(_ILM)
    if name in ("coop", "upt"):
        found["epochs"] = 50 if shots == 1 else 100 if shots is not None and shots <= 4 else 200
    return found


def grid(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The learning rates and the weight decays that are tried, over the default's ones.

    Returns:
        Rates and decays; both are the values themselves.
    """
    base = _BY_METHOD.get(name, _VPT)
    if base in (_VPT, _LINEAR):
        return _GRID, _GRID_DECAY
    if base is _TUNED:
        return _GRID_TUNED, _GRID_DECAY
    rates = tuple(float(base["lr"]) * share for share in _AROUND)
    return rates, (float(base["weight_decay"]),)
