"""Which family learns most in a few minutes?  For ranking only: tiny models, little time.

    python benchmarks/families.py --data IMAGES --tokenizer runs/vqgan-tiny-cpu/model --out out/fam

Every family trains for the same time (--minutes) on canvases of 64 px with the loop of `vicl
train`: how many steps fit is measured first, so that each has its whole schedule.  Then each fills
the last quarter of held-out images (bottom right, where the answer of a 2x2 prompt stands).
Printed are the mean PSNR in the hole over those images with a bootstrap 95% interval, beside two
floors: the mean colour of what is visible, and for each hidden patch a copy of the nearest visible
one.

A tenth of the images is held out, by their names; --group is a regular expression whose matches
stay together (frames of one video); train the tokenizer with the same two.  A contact sheet shows
the photographs that come with vicl, which no family was trained on.  Finished families are kept in
--out: run again to go on.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vicl.exports.sheets import contact_sheet
from vicl.files import write_atomic
from vicl.files.machine import processor
from vicl.files.packaged import PHOTOS
from vicl.images import open_image, save_image, to_rgb
from vicl.loading import load_folder
from vicl.metrics import bootstrap_interval
from vicl.models.tokens import hole_tokens
from vicl.models.vit import patchify, unpatchify
from vicl.training.data.augmentation import centre
from vicl.training.data.training_data import open_data
from vicl.training.looking import last_quarter
from vicl.training.recipe.files import check_recipe, load_recipe
from vicl.training.recipe.recipe import Recipe
from vicl.training.report import read_log
from vicl.training.train import train

SIDE, PATCH = 64, 8
BODY = {"canvas_size": [SIDE, SIDE], "patch_size": PATCH, "embed_dim": 192, "depth": 6}
DECODER = {"decoder_embed_dim": 128, "decoder_depth": 2, "decoder_num_heads": 4}
HIDDEN: list[dict[str, Any]] = [{"kind": "patches", "ratio": 0.5}, {"kind": "answer"}]
FAMILIES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "mae-vqgan": ({**BODY, "num_heads": 6, **DECODER}, HIDDEN),
    "mae": ({**BODY, "num_heads": 6, **DECODER}, HIDDEN),
    "beit": ({**BODY, "num_heads": 6}, [{"kind": "blocks"}, {"kind": "answer"}]),
    "autoregressive": ({**BODY, "num_heads": 6}, [{"kind": "all"}]),
    "unet": (
        {"canvas_size": [SIDE, SIDE], "patch_size": PATCH, "widths": [32, 64, 128, 256, 256, 256]},
        [{"kind": "rectangles"}, {"kind": "answer"}],
    ),
}
"""Architecture and masking of each family."""


def main() -> int:
    """Train what is not there yet, and print all that is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder of images")
    parser.add_argument("--tokenizer", type=Path, required=True, help="the folder of a VQGAN, f8")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--minutes", type=float, default=8.0, help="for each")
    parser.add_argument("--count", type=int, default=200, help="held-out images")
    parser.add_argument("--group", help="held out together")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for name in ("data", "tokenizer"):
        if not getattr(given, name).is_dir():
            parser.error(f"--{name}: there is no folder {getattr(given, name)}")
    console = Console(width=max(Console().width, 100))
    for family in given.families:
        if not (given.out / family / "result.json").exists():
            run(family, given, console)
    console.print(table(given.out))
    save_image(sheet(given.out), given.out / "sheet.png")
    return 0


def run(family: str, given: argparse.Namespace, console: Console) -> None:
    """Measure a family's rate, train it for its time, and see what it fills."""
    begun = given.out / family / "run" / "recipe.yaml"
    steps = load_recipe(begun).schedule.steps if begun.exists() else fitting(family, given)
    assert steps is not None
    console.print(f"{family}: {steps} steps")
    whole = recipe(family, given, steps=steps)
    path = train(whole, given.out / family / "run", device="cpu", resume=True)
    model: Any = load_folder(path, device="cpu")
    held_out = open_data(whole.data, (SIDE, SIDE), seed=given.seed).held_out
    images = [held_out.load(index) for index in range(len(held_out))]
    filled, copied, mean = (
        [psnr(answer, image) for image, answer in zip(images, answers, strict=True)]
        for answers in (
            [inpaint(model, image) for image in images],
            [nearest_patch(image) for image in images],
            [mean_colour(image) for image in images],
        )
    )
    found = {
        "family": family,
        "weights": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "steps": steps,
        "seed": given.seed,
        "processor": processor(torch.device("cpu")),
        "psnr": filled,
        "nearest_patch": copied,
        "mean_colour": mean,
    }
    write_atomic(given.out / family / "result.json", json.dumps(found, indent=1).encode())


def fitting(family: str, given: argparse.Namespace) -> int:
    """How many steps a family takes in its time, by a short trial."""
    with tempfile.TemporaryDirectory() as folder:
        trial = recipe(family, given, steps=30)
        train(trial, Path(folder) / "run", device="cpu")
        logged = [line for line in read_log(Path(folder) / "run") if "images_per_second" in line]
    rate = float(logged[-1]["images_per_second"]) / trial.batch.size
    return max(1, int(60 * given.minutes * rate))


def recipe(family: str, given: argparse.Namespace, *, steps: int) -> Recipe:
    """What a family is trained by."""
    model, masking = FAMILIES[family]
    coded = family in ("mae-vqgan", "beit", "autoregressive")
    data = {
        "name": family,
        "seed": given.seed,
        "data": {
            "train": str(given.data),
            "held_out": {"fraction": 0.1, "group": given.group, "count": given.count},
            "workers": 1,
        },
        "model": {"kind": family, **model} | ({"tokenizer": str(given.tokenizer)} if coded else {}),
        "masking": masking,
        "batch": {"size": 32},
        "optimiser": {"lr": 5e-4, "scale_lr": False, "clip": 1.0},
        "schedule": {"steps": steps, "warmup": 0.05},
        "precision": given.precision,
        "target_precision": given.precision,
        # Looking on the way would cost the families unequal shares of their time.
        "evaluation": {"every": 10**6},
        "checkpoints": {"every": 500, "keep": 1},
        "log": {"every": 10, "trackers": []},
    }
    return check_recipe(data, family)


def inpaint(model: Any, image: Tensor) -> Tensor:
    """What a model makes of an image without its last quarter."""
    filled: Tensor = model.inpaint(image[None], hole()[None]).image[0]
    return filled


def hole() -> Tensor:
    """The last quarter of a canvas."""
    return last_quarter((SIDE // PATCH, SIDE // PATCH), PATCH)


def nearest_patch(image: Tensor) -> Tensor:
    """The floor: each hidden patch is a copy of the visible one whose centre is nearest."""
    grid = (SIDE // PATCH, SIDE // PATCH)
    hidden = hole_tokens(hole()[None], PATCH)[0]
    places = torch.cartesian_prod(torch.arange(grid[0]), torch.arange(grid[1])).float()
    distance = torch.cdist(places, places)
    distance[:, hidden] = torch.inf
    source = distance.argmin(dim=1)
    copied: Tensor = unpatchify(patchify(image[None], PATCH)[:, source], grid, PATCH)[0]
    return copied


def mean_colour(image: Tensor) -> Tensor:
    """The other floor: what is visible, averaged."""
    return image[:, ~hole()].mean(dim=1)[:, None, None].expand_as(image)


def psnr(answer: Tensor, image: Tensor) -> float:
    """PSNR in the hole, in dB."""
    error = (answer - image)[:, hole()].square().mean()
    return float(-10 * error.clamp(min=1e-10).log10())


def sheet(out: Path) -> Image.Image:
    """What the families make of the package's photographs, beside the floors."""
    names = [family for family in FAMILIES if (out / family / "result.json").exists()]
    models = [load_folder(out / family / "run" / "model", device="cpu") for family in names]
    paths = sorted(PHOTOS.glob("*.jpg"))
    rows: list[Sequence[Tensor]] = []
    for path in paths[::3][:6]:
        image = centre(to_rgb(open_image(path)), (SIDE, SIDE)).float() / 255
        shown = torch.where(hole(), 0.5, image)
        floors = (torch.where(hole(), f(image), image) for f in (nearest_patch, mean_colour))
        rows.append([shown, *(inpaint(model, image) for model in models), *floors, image])
    headers = ("shown", *names, "nearest patch", "mean colour", "true")
    return contact_sheet(rows, headers=headers, cell=128)


def table(out: Path) -> Table:
    """All families that are done, best first."""
    found = [json.loads(path.read_text()) for path in out.glob("*/result.json")]
    found.sort(key=lambda result: -float(np.mean(result["psnr"])))
    drawn = Table(
        title=f"PSNR in the hole, dB, {len(found[0]['psnr'])} held-out images; floors: nearest "
        f"visible patch {bootstrap_interval(found[0]['nearest_patch'])}, mean visible colour "
        f"{bootstrap_interval(found[0]['mean_colour'])}\n{found[0]['processor']}"
    )
    for name in ("family", "weights", "steps", "PSNR", "above nearest patch", "above mean colour"):
        drawn.add_column(name)
    for one in found:
        values = np.array(one["psnr"])
        drawn.add_row(
            one["family"],
            f"{one['weights']:,}",
            str(one["steps"]),
            str(bootstrap_interval(values)),
            *(
                str(bootstrap_interval(values - np.array(one[floor])))
                for floor in ("nearest_patch", "mean_colour")
            ),
        )
    return drawn


if __name__ == "__main__":
    sys.exit(main())
