"""The loop: every model through it, the folder that comes of it, and what goes wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.pictures import picture
from tests.slowly import mostly_slow
from tests.training.runs import MODELS, TOKENIZER, pictures, plain, recipe
from torch.utils.data import IterableDataset

import vicl
from vicl.loading import load_folder, load_tokenizer
from vicl.models.configs import Asking
from vicl.models.mae import MAE
from vicl.models.vqgan import VQGAN
from vicl.training.build import build_model, build_objective
from vicl.training.checkpoints import CheckpointFolder, TrainingError
from vicl.training.recipe.files import check_recipe
from vicl.training.report import read_log
from vicl.training.train import count_steps, train


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_folder(folder, device="cpu").state_dict())


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("kind", mostly_slow(MODELS, "vqgan", "mae-vqgan", "unet"))
def test_every_model_trains_and_answers(kind: str, tmp_path: Path) -> None:
    """Weights move, the folder has card and curves, and the model is an engine (or tokenizer)."""
    given = recipe(tmp_path, kind)
    folder = train(given, tmp_path / "run", device="cpu")
    before = {n: p.detach() for n, p in build_model(given).named_parameters() if p.requires_grad}
    after = weights(folder)
    assert all(not torch.equal(after[name], value) for name, value in before.items())
    card = (folder / "README.md").read_text()
    assert "Seed: 0" in card
    assert "images that training never saw" in card
    assert "name: tiny" in card
    with Image.open(folder / "curves.png") as curves:
        assert curves.width == 1000
    lines = read_log(tmp_path / "run")
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    assert [line["step"] for line in lines if "held_out_psnr" in line] == [2, 4]
    assert {"lr", "gradient_norm", "images_per_second", "data_wait", "memory_mib"} <= {*lines[0]}
    assert len(list((tmp_path / "run" / "sheets").glob("*.png"))) == 2
    if kind == "vqgan":
        assert load_tokenizer(folder, device="cpu").codebook_size == 16
        assert "discriminator" in "".join(lines[-2])
        return
    answer = vicl.predict(
        picture(40, 40), [(picture(40, 40, seed=1), picture(40, 40, seed=2))], model=folder
    )
    assert answer.image.size == (40, 40)


@pytest.mark.slow
def test_a_run_is_repeatable_and_its_seed_matters(tmp_path: Path) -> None:
    first = train(recipe(tmp_path), tmp_path / "a", device="cpu")
    assert same(first, train(recipe(tmp_path), tmp_path / "b", device="cpu"))
    assert not same(first, train(recipe(tmp_path, seed=1), tmp_path / "c", device="cpu"))


def test_training_leaves_global_random_state_alone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    train(recipe(tmp_path), tmp_path / "run", device="cpu")
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("kind", mostly_slow(["mae-vqgan", "vqgan"], "mae-vqgan"))
def test_stopped_and_resumed_is_as_if_never_stopped(kind: str, tmp_path: Path) -> None:
    """Bit for bit, with averaged weights: the files of step 2 of one run, gone on with."""
    given = recipe(tmp_path, kind, ema=0.7, checkpoints={"every": 2, "keep": 9})
    whole = train(given, tmp_path / "whole", device="cpu")
    half = tmp_path / "half"
    (half / "checkpoints").mkdir(parents=True)
    for name in ("recipe.yaml", "log.jsonl", "checkpoints/step-000000002.pt"):
        shutil.copy(tmp_path / "whole" / name, half / name)
    index = {"steps": [2], "best": None, "best_loss": None}
    (half / "checkpoints" / "checkpoints.json").write_text(json.dumps(index))
    again = train(given, half, device="cpu", resume=True)
    assert same(whole, again)
    steps = [line["step"] for line in read_log(half) if "loss" in line]
    assert steps == [1, 2, 3, 4]


@pytest.mark.slow
def test_a_vqgan_goes_on_from_before_its_codes_are_placed(tmp_path: Path) -> None:
    loss = {"discriminator": None, "quantise_after": 3}
    every = {"every": 2, "keep": 9}
    given = recipe(tmp_path, "vqgan", vqgan=loss, checkpoints=every)
    whole = train(given, tmp_path / "whole", device="cpu")
    shutil.copytree(tmp_path / "whole", tmp_path / "half")
    shutil.rmtree(tmp_path / "half" / "model")
    index = {"steps": [2], "best": None, "best_loss": None}
    (tmp_path / "half" / "checkpoints" / "checkpoints.json").write_text(json.dumps(index))
    assert same(whole, train(given, tmp_path / "half", device="cpu", resume=True))


@pytest.mark.slow
def test_accumulation_is_the_larger_batch(tmp_path: Path) -> None:
    """Two rounds of 2 against one of 4, the same images and holes: the same steps."""
    changes: dict[str, Any] = {"optimiser": {"lr": 1e-3, "scale_lr": False}}
    train(recipe(tmp_path, **changes), tmp_path / "one", device="cpu")
    parts = recipe(tmp_path, batch={"size": 4, "micro": 2}, **changes)
    train(parts, tmp_path / "two", device="cpu")
    for a, b in zip(read_log(tmp_path / "one"), read_log(tmp_path / "two"), strict=True):
        for name in {"loss", "gradient_norm", "held_out_psnr"} & a.keys():
            assert b[name] == pytest.approx(a[name], rel=1e-4), name


def test_an_epoch_sees_every_image_whatever_the_accumulation(tmp_path: Path) -> None:
    epochs = {"epochs": 2}
    for batch in ({"size": 4}, {"size": 4, "micro": 1}):
        given = recipe(tmp_path, batch=batch, schedule=epochs)
        assert count_steps(given, 12) == 6
        assert count_steps(given, 11) == 6
    with pytest.raises(TrainingError, match="number of images is not known"):
        count_steps(recipe(tmp_path, schedule=epochs), None)


@pytest.mark.slow
def test_bfloat16_arithmetic_is_near_float32(tmp_path: Path) -> None:
    """Mixed precision: weights stay float32, losses agree to some thousandths."""
    exact = train(recipe(tmp_path), tmp_path / "fp32", device="cpu")
    mixed = train(recipe(tmp_path, precision="bf16"), tmp_path / "bf16", device="cpu")
    assert not same(exact, mixed)
    for a, b in zip(read_log(tmp_path / "fp32"), read_log(tmp_path / "bf16"), strict=True):
        if "loss" in a:
            assert b["loss"] == pytest.approx(a["loss"], rel=0.03)
    with pytest.raises(TrainingError, match="fp16 needs a GPU"):
        train(recipe(tmp_path, precision="fp16"), tmp_path / "fp16", device="cpu")


def test_starting_from_a_model(tmp_path: Path) -> None:
    """How it is asked is no part of the architecture."""
    first = train(recipe(tmp_path), tmp_path / "first", device="cpu")
    spun = MODELS["mae"] | {"asking": {"spins": 2}}
    model = build_model(recipe(tmp_path, start=str(first), model=spun))
    assert model.spins == 2
    assert all(
        torch.equal(model.state_dict()[name], value) for name, value in weights(first).items()
    )
    with pytest.raises(TrainingError, match="another architecture"):
        build_model(recipe(tmp_path, "unet", start=str(first)))


@pytest.mark.slow
def test_how_it_draws_is_no_part_of_the_architecture(tmp_path: Path) -> None:
    first = train(recipe(tmp_path, "mae-vqgan"), tmp_path / "first", device="cpu")
    other = recipe(tmp_path, "mae-vqgan", start=str(first))
    asking = Asking(drawing="expected", drawing_temperature=0.5)
    drawn = other.model.model_copy(update={"asking": asking})
    model = build_model(other.model_copy(update={"model": drawn}))
    assert model.asking == asking
    given = weights(first)
    assert all(torch.equal(value, given[name]) for name, value in model.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mae-vqgan", "beit", "autoregressive"])
def test_starting_from_a_model_with_another_tokenizer(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its body is taken; the tokenizer is the recipe's, and what predicts codes is new."""
    short: dict[str, Any] = {"schedule": {"steps": 1}, "evaluation": {"rows": 1}}
    first = train(recipe(tmp_path, kind, **short), tmp_path / "first", device="cpu")
    model = build_model(recipe(tmp_path, kind, start=str(first)))
    given = weights(first)
    assert model.state_dict().keys() == given.keys()
    assert all(torch.equal(value, given[name]) for name, value in model.state_dict().items())
    assert not caplog.records

    half = recipe(tmp_path, kind, saved_precision="fp16", **short)
    rounded = train(half, tmp_path / "half", device="cpu")
    model = build_model(recipe(tmp_path, kind, start=str(rounded)))
    assert torch.equal(model.state_dict()["head.weight"], weights(rounded)["head.weight"])
    assert not caplog.records

    more = TOKENIZER.model_copy(update={"codebook_size": 24})
    other = recipe(tmp_path, kind, start=str(first))
    for seed, config in ((4, TOKENIZER), (3, more)):
        tokenizer = VQGAN(config, seed=seed)
        tokenizer.save_pretrained(tmp_path / "tokenizer", overwrite=True)
        caplog.clear()
        model = build_model(other)
        assert "has another tokenizer" in caplog.text
        fresh = build_model(recipe(tmp_path, kind)).state_dict()
        for name, value in model.state_dict().items():
            of_codes = name.startswith(("tokenizer.", "head.", "code_embedding."))
            assert torch.equal(value, (fresh if of_codes else given)[name]), name


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    """The last good checkpoint is intact and is gone on with."""
    given = recipe(tmp_path, checkpoints={"every": 1, "keep": 9})
    with pytest.raises(TrainingError, match="not a finite number"):
        train(
            recipe(
                tmp_path,
                optimiser={"lr": 1e30, "scale_lr": False},
                schedule={"steps": 60, "warmup": 0.9},
            ),
            tmp_path / "run",
            device="cpu",
        )
    folder = CheckpointFolder(tmp_path / "run" / "checkpoints", 9)
    for step in folder.index().steps:
        state = folder.load(step)
        assert all(bool(torch.isfinite(v).all()) for v in state["objective"].values())
    assert not (tmp_path / "run" / "model").exists()
    assert given.seed == 0


@pytest.mark.parametrize("broken", ["loss", "weights"])
def test_numbers_that_are_none_are_seen_in_the_loss_and_in_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Each without the other: an infinite loss of no gradient, a gradient that is no number."""
    right = MAE.loss

    def wrong(model: MAE, image: torch.Tensor, hole: torch.Tensor, **target: Any) -> torch.Tensor:
        loss = right(model, image, hole, **target)
        if broken == "loss":
            return 0 * loss + torch.inf
        if loss.requires_grad:
            loss.register_hook(lambda gradient: gradient * torch.nan)
        return loss

    monkeypatch.setattr(MAE, "loss", wrong)
    with pytest.raises(TrainingError, match="not a finite number"):
        train(recipe(tmp_path, schedule={"steps": 1}), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "model").exists()


def test_what_is_no_number_is_never_saved(tmp_path: Path) -> None:
    """Also where checkpoints are made between the steps that are logged and looked at."""
    given = recipe(
        tmp_path,
        optimiser={"lr": 1e30, "scale_lr": False},
        schedule={"steps": 60, "warmup": 0.9},
        log={"every": 60, "trackers": []},
        evaluation={"every": 60},
        checkpoints={"every": 1, "keep": 2},
    )
    with pytest.raises(TrainingError, match="not a finite number"):
        train(given, tmp_path / "run", device="cpu")
    folder = CheckpointFolder(tmp_path / "run" / "checkpoints", 2)
    for step in folder.index().steps:
        state = folder.load(step)["objective"]
        assert all(bool(torch.isfinite(value).all()) for value in state.values())


@pytest.mark.slow
def test_folders_that_are_in_use(tmp_path: Path) -> None:
    given = recipe(tmp_path)
    train(given, tmp_path / "run", device="cpu")
    with pytest.raises(TrainingError, match="has a run in it; go on with it by --resume"):
        train(given, tmp_path / "run", device="cpu")
    other = recipe(tmp_path, seed=5)
    with pytest.raises(TrainingError, match=r"other values of seed \(was 0, is 5\)"):
        train(other, tmp_path / "run", device="cpu", resume=True)
    gentler = recipe(tmp_path, optimiser={"lr": 1e-4, "scale_lr": False})
    train(gentler, tmp_path / "run", device="cpu", resume=True)
    longer_log = recipe(tmp_path, log={"every": 3, "trackers": []})
    assert train(longer_log, tmp_path / "run", device="cpu", resume=True).is_dir()
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / ".vicl-12.tmp").write_text("half a recipe")
    assert train(given, tmp_path / "killed", device="cpu", resume=True).is_dir()
    with pytest.raises(TrainingError, match="holds other things than a run"):
        train(given, tmp_path / "pictures", device="cpu")
    (tmp_path / "file").write_text("x")
    with pytest.raises(TrainingError, match="cannot be written"):
        train(given, tmp_path / "file" / "run", device="cpu")


def test_broken_images_are_counted_and_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pictures(tmp_path / "pictures")
    (tmp_path / "pictures" / "03.png").write_bytes(b"no picture")
    data = plain(tmp_path)["data"] | {"held_out": {}}
    train(recipe(tmp_path, data=data, schedule={"epochs": 1}), tmp_path / "run", device="cpu")
    assert "03.png" in caplog.text
    assert read_log(tmp_path / "run")[-1]["broken_images"] == 1


class Squares(IterableDataset[Image.Image]):
    def __iter__(self) -> Any:
        seed = 0
        while True:
            yield Image.new("RGB", (32, 32), (seed % 256, 40, 90))
            seed += 7


def test_a_dataset_of_the_callers(tmp_path: Path) -> None:
    data = {"train": [{"kind": "dataset", "name": "squares"}], "workers": 0}
    given = recipe(tmp_path, data=data)
    folder = train(given, tmp_path / "run", device="cpu", datasets={"squares": Squares()})
    assert "None were held out" in (folder / "README.md").read_text()
    with pytest.raises(ValueError, match="squares"):
        train(given, tmp_path / "other", device="cpu")


@pytest.mark.parametrize(("kind", "own"), [("answer", True), ("patches", False)])
def test_answers_are_hidden_where_the_figure_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, own: bool
) -> None:
    seen: list[torch.Tensor] = []
    loss = MAE.loss

    def watch(model: MAE, image: torch.Tensor, hole: torch.Tensor, **target: Any) -> torch.Tensor:
        seen.append(hole)
        return loss(model, image, hole, **target)

    monkeypatch.setattr(MAE, "loss", watch)
    place = np.zeros((32, 32), np.bool_)
    place[:8, 16:32] = True  # no quarter
    items = [
        {"image": np.full((32, 32, 3), 9, np.uint8), "hole": place},
        {"image": np.full((32, 32, 3), 9, np.uint8), "hole": None},
    ]
    data = {"train": [{"kind": "dataset", "name": "d"}], "workers": 0}
    given = recipe(tmp_path, data=data, masking=[{"kind": kind}], schedule={"steps": 1})
    train(given, tmp_path / "run", device="cpu", datasets={"d": items})
    hidden = torch.from_numpy(place).expand(4, 32, 32)
    assert [torch.equal(seen[0][i], hidden[i]) for i in range(4)] == [own, False, own, False]


@pytest.mark.slow
def test_a_tokenizer_that_was_trained_again_is_noticed(tmp_path: Path) -> None:
    given = recipe(tmp_path, "mae-vqgan")
    train(given, tmp_path / "run", device="cpu")
    VQGAN(TOKENIZER, seed=8).save_pretrained(tmp_path / "tokenizer", overwrite=True)
    with pytest.raises(TrainingError, match=r"model\.tokenizer: has other weights"):
        train(given, tmp_path / "run", device="cpu", resume=True)


def test_the_best_is_kept_wherever_it_was(tmp_path: Path) -> None:
    """Also between the steps that make checkpoints anyway."""
    given = recipe(tmp_path, evaluation={"every": 1}, checkpoints={"every": 100, "keep": 1})
    train(given, tmp_path / "run", device="cpu")
    losses = {
        line["step"]: line["held_out_loss"]
        for line in read_log(tmp_path / "run")
        if "held_out_loss" in line
    }
    index = CheckpointFolder(tmp_path / "run" / "checkpoints", 1).index()
    assert index.best == min(losses, key=lambda step: losses[step])


def test_trackers(tmp_path: Path) -> None:
    train(recipe(tmp_path, log={"every": 1}), tmp_path / "run", device="cpu")
    assert list((tmp_path / "run").rglob("events.out.tfevents*"))
    wrong = recipe(tmp_path, log={"trackers": ["nonsense"]})
    with pytest.raises(TrainingError, match="nonsense"):
        train(wrong, tmp_path / "other", device="cpu")


def test_targets_are_named_by_a_copy(tmp_path: Path) -> None:
    """In low precision the model's own tokenizer stays what it was, and is saved as it was."""
    given = recipe(tmp_path, "mae-vqgan", target_precision="bf16")
    model = build_model(given)
    exact = {name: value.clone() for name, value in model.tokenizer.state_dict().items()}
    objective = build_objective(given, model)
    image = torch.stack([picture(32, 32, seed=i) for i in range(2)])
    hole = torch.zeros(2, 32, 32, dtype=torch.bool)
    hole[:, 16:, 16:] = True
    losses = objective(image, hole, 0).losses
    losses["model"].backward()
    assert all(torch.equal(model.tokenizer.state_dict()[n], v) for n, v in exact.items())
    assert not any(n.startswith("tokenizers") for n in objective.state_dict())


def test_recipes_that_do_not_fit_their_tokenizer(tmp_path: Path) -> None:
    data = plain(tmp_path, "mae-vqgan")
    data["model"]["patch_size"] = 16
    with pytest.raises(ValueError, match="patch_size: got 16, expected 4"):
        build_model(check_recipe(data, "test"))
    data = plain(tmp_path, "mae-vqgan")
    data["model"]["tokenizer"] = str(tmp_path / "nowhere")
    with pytest.raises(TrainingError, match=r"model\.tokenizer: .*nowhere"):
        build_model(check_recipe(data, "test"))
