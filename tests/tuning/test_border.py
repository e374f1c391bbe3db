"""Borders are learned as published; nothing else learns; a run that is stopped goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.models.formula import build
from tests.models.kinds import KINDS
from tests.prompting.test_border import PARTS, inmemo
from tests.prompts.goldens import Golden, close

from vicl.canvas.layout import Layout
from vicl.images import save_image
from vicl.models.configs import VQGANConfig
from vicl.models.mae_vqgan import MAEVQGAN, PUBLISHED
from vicl.prompting.border import as_border, prompt_of
from vicl.prompting.prompter import VisualPrompter
from vicl.training.checkpoints import CheckpointFolder, TrainingError
from vicl.training.optimisation import rate_at
from vicl.training.settings import Rate
from vicl.tuning import border_run
from vicl.tuning.border import BorderObjective, BorderSettings, as_published
from vicl.tuning.border_run import Bordered, tune_border
from vicl.tuning.layouts import DataError
from vicl.tuning.settings import SettingsError, settled

QUICK = ("epochs=4", "batch=4", "lr=0.05", "restart=2", "side=32", "width=6")


def test_the_rate_is_the_published_one(shared: Path) -> None:
    golden = Golden(shared, "inmemo/inmemo")["lr_per_epoch"]
    rate = Rate(kind="restarts", every=10)
    found = [rate_at(epoch, 100, rate, 40.0) for epoch in range(100)]
    np.testing.assert_allclose(found, golden.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_losses_and_gradients_are_the_published_ones(shared: Path) -> None:
    """In all modes and arrangements as published; and with both canvases normalised."""
    golden = Golden(shared, "inmemo/inmemo")
    config = PUBLISHED["small"].model_copy(update={"tokenizer": VQGANConfig(base_width=32)})
    engine = build(config).requires_grad_(False)
    parts = {name: golden.tensor(f"inmemo.pad_{name}") for name in PARTS}
    for case, said in golden.said["cases"].items():
        mode, arrangement, *normalised = case.split("/")
        if mode == "no_vp":
            continue
        layout = Layout.paper(1).arranged(int(arrangement[1:]))
        clean, hole = inmemo(golden, layout)
        prompt = prompt_of(parts).requires_grad_(True)
        settings = BorderSettings(mode=mode, published=not normalised)
        objective = BorderObjective(prompt, engine, [layout], settings)
        codes = engine.tokenizer.encode(clean if normalised else as_published(clean)).flatten(1)
        loss = objective.loss(clean, hole, codes, 0)
        assert float(loss.detach()) == pytest.approx(said["loss"], abs=1e-5)
        if arrangement == "a1":
            kind = "if_normalised" if normalised else "published_unnormalised"
            assert torch.equal(codes.short(), golden[f"target_tokens_{kind}"])
        if case == "spimg_spmask/a1":
            loss.backward()
            for name in PARTS:
                close(prompt.get_parameter(name).grad, golden[f"grad/pad_{name}"])


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> MAEVQGAN:
    folder = tmp_path_factory.mktemp("engine")
    KINDS["mae-vqgan"].build().save_pretrained(folder / "tiny")
    return MAEVQGAN.from_pretrained(folder / "tiny", device="cpu")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ten photographs of a bright square with its mask, and one that is broken."""
    rng = np.random.default_rng(0)
    for number in range(10):
        top, left = rng.integers(2, 20, 2)
        image = rng.integers(0, 90, (40, 40, 3)).astype(np.uint8)
        mask = np.zeros((40, 40), np.uint8)
        mask[top : top + 16, left : left + 16] = 255
        image[mask > 0] += 140
        for kind, picture in (("images", image), ("masks", mask)):
            save_image(Image.fromarray(picture), tmp_path / "data" / kind / f"{number}.png")
    (tmp_path / "data/images/4.png").write_bytes(b"no picture")
    return tmp_path / "data"


def run(engine: MAEVQGAN, data: Path, out: Path, **more: Any) -> Bordered:
    overrides = more.pop("overrides", QUICK)
    given = {"model": engine, "data": data, "task": "segmentation", "overrides": overrides}
    return tune_border(out, **given, **more)


def test_only_the_border_learns_and_a_prompt_file_has_it(
    engine: MAEVQGAN, data: Path, tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in engine.state_dict().items()}
    learning = [weight.requires_grad for weight in engine.parameters()]
    found = run(engine, data, tmp_path / "out")
    assert all(torch.equal(engine.state_dict()[name], value) for name, value in before.items())
    assert [weight.requires_grad for weight in engine.parameters()] == learning
    assert all(weight.grad is None for weight in engine.parameters())
    kept = CheckpointFolder(tmp_path / "out/checkpoints", 1)
    state = kept.load(kept.index().steps[-1])["objective"]
    assert set(state) == {f"model.{name}" for name in PARTS}
    assert found.losses[0] < found.losses[1]
    (line,) = found.broken
    assert "4.png" in line
    assert found.border.picture.abs().max() > 0
    saved = as_border(tmp_path / "out")
    assert saved is not None
    assert saved.to_bytes() == found.border.to_bytes()
    opened = VisualPrompter.load(tmp_path / "out/prompt.vicl", model=engine)
    example = opened.passes[0][0]
    made = VisualPrompter(engine, [(example.input, example.output)], border=tmp_path / "out")
    answers = [one.predict(data / "images/0.png") for one in (opened, made)]
    assert np.array_equal(*(np.asarray(answer.canvas) for answer in answers))
    assert {len(values) for values in found.scores.values()} == {len(found.scores["copy"])}


@pytest.mark.slow
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    engine: MAEVQGAN, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = (*QUICK, "arrangements=[1, 7]", "mode=spimg_spmask_qrimg", "init=normal")
    whole = run(engine, data, tmp_path / "whole", overrides=overrides)
    real, calls = vars(border_run)["fit"], 0

    def stopped(job: Any, joined: Any) -> Any:
        def rounds(*seat: Any) -> Any:
            nonlocal calls
            for one in job.rounds(*seat):
                calls += 1
                if calls == 6:
                    raise KeyboardInterrupt
                yield one

        return real(replace(job, rounds=rounds), joined)

    monkeypatch.setattr(border_run, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(engine, data, tmp_path / "parts", overrides=overrides)
    monkeypatch.setattr(border_run, "fit", real)
    with pytest.raises(TrainingError, match="has a run in it; go on with it by --resume"):
        run(engine, data, tmp_path / "parts", overrides=overrides)
    parts = run(engine, data, tmp_path / "parts", overrides=overrides, resume=True)
    assert parts.border.to_bytes() == whole.border.to_bytes()
    assert parts.scores == whole.scores


def test_what_cannot_be_learned_is_named(engine: MAEVQGAN, data: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"lrate.*the keys are mode, side"):
        settled(BorderSettings, ["lrate=1"], "lr=1")
    with pytest.raises(SettingsError, match=r"arrangements.*expected numbers from 1 to 8"):
        settled(BorderSettings, ["arrangements=[9]"], "lr=1")
    with pytest.raises(SettingsError, match="width: got 40 pixels, expected at most 31"):
        run(engine, data, tmp_path / "out", overrides=("side=64", "width=40"))
    with pytest.raises(SettingsError, match="copy has no codes to learn from"):
        tune_border(tmp_path / "out", model="copy", data=data)
    for number in range(2, 10):
        (data / f"images/{number}.png").unlink()
    with pytest.raises(DataError, match="has 2 labelled images, expected at least 3"):
        run(engine, data, tmp_path / "out")
