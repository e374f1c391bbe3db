"""Learned borders: drawn as published, used by their own engine alone, kept in prompt files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from tests.models.kinds import KINDS
from tests.pictures import picture
from tests.prompts.goldens import Golden, close
from torch import Tensor

from vicl.canvas.layout import Layout
from vicl.models.mae_vqgan import MAEVQGAN
from vicl.prompt import Prompt
from vicl.prompting.border import (
    Border,
    BorderTold,
    as_border,
    bordered,
    prompt_of,
    read_border,
)
from vicl.prompting.learned import LearnedError
from vicl.prompting.prompt_file import PromptFileError
from vicl.prompting.prompter import VisualPrompter

PARTS = ("up", "down", "left", "right")
PHOTO, QUERY = picture(40, 40), picture(50, 40, seed=1)
MASK = np.zeros((40, 40), np.uint8)
MASK[10:30, 10:30] = 1


def border_for(engine: MAEVQGAN, seed: int = 0, mode: str = "spimg_spmask") -> Border:
    drawn = torch.Generator().manual_seed(seed)
    shapes = {"up": (4, 32), "down": (4, 32), "left": (24, 4), "right": (24, 4)}
    parts = {name: torch.randn(1, 3, *shape, generator=drawn) for name, shape in shapes.items()}
    return Border(parts, BorderTold.of(engine, mode=mode))


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> tuple[MAEVQGAN, MAEVQGAN]:
    """Two tiny models that were saved, so that their weights have hashes."""
    folder = tmp_path_factory.mktemp("engines")
    found = []
    for seed, name in enumerate(("mine", "other")):
        KINDS["mae-vqgan"].build(seed=seed).save_pretrained(folder / name)
        found.append(MAEVQGAN.from_pretrained(folder / name, device="cpu"))
    return found[0], found[1]


def inmemo(golden: Golden, layout: Layout) -> tuple[Tensor, Tensor]:
    """The golden's two clean canvases with their answers, and the holes, by its formulas."""
    b, c, i, j = np.ogrid[:4, :3, :111, :111]
    wave = 0.37 * (b + 1) + 0.9 * c + 6.0 * (i + 0.5) / 111 * (c + 1)
    image = torch.from_numpy(
        (0.5 + 0.5 * np.sin(wave - 4.0 * (j + 0.5) / 111 * (b + 1))).astype("f4")
    )
    row, column = np.mgrid[:111, :111]

    def disk(centre: int) -> Tensor:
        inside = (row - 55) ** 2 + (column - centre) ** 2 < 30**2
        return torch.from_numpy(inside.astype("f4")).expand(3, -1, -1)

    pairs = [([(image[k], disk(40 + 10 * k))], image[2 + k]) for k in range(2)]
    canvases = [layout.compose(Prompt(*pair)) for pair in pairs]
    clean = torch.stack([canvas.image for canvas in canvases])
    for k in range(2):
        layout.answer.of(clean[k])[:] = disk(60 + 10 * k)
    return clean, torch.stack([canvas.hole for canvas in canvases])


def test_canvases_are_the_published_ones(shared: Path) -> None:
    """All modes, and the default one in all eight arrangements."""
    golden = Golden(shared, "inmemo/inmemo")
    prompt = prompt_of({name: golden.tensor(f"inmemo.pad_{name}") for name in PARTS})
    for case, said in golden.said["cases"].items():
        mode, arrangement, *normalised = case.split("/")
        if mode == "no_vp" or normalised:
            continue
        layout = Layout.paper(1).arranged(int(arrangement[1:]))
        clean, _ = inmemo(golden, layout)
        found = bordered(clean, layout, prompt.picture(), mode)
        assert float(found.sum(dtype=torch.float64)) == pytest.approx(said["canvas_pred_sum"])
        if case == "spimg_spmask/a1":
            close(found[0], golden["canvas_pred_spimg_spmask_a1_sample0"])
        else:
            close(found[..., ::8, ::8], golden[f"canvas_{mode}_{arrangement}_every8"])


def test_only_the_named_cells_change() -> None:
    layout = Layout.grid(2, canvas_size=(96, 96), patch_size=8)
    image = torch.rand(2, 3, 96, 96)
    added = torch.zeros(1, 3, 64, 64)
    added[..., :8, :] = 1
    found = bordered(image, layout, added, "qrimg")
    assert not torch.equal(layout.query.of(found), layout.query.of(image))
    layout.query.of(found)[:] = layout.query.of(image)
    assert torch.equal(found, image)
    assert not added[..., 8:, :].any()


def test_a_border_changes_answers_and_is_kept(
    tmp_path: Path, engines: tuple[MAEVQGAN, MAEVQGAN]
) -> None:
    """The prompt file answers bit for bit as the prompter did, and is the same file again."""
    engine, other = engines
    border = border_for(engine)
    plain = VisualPrompter(engine, [(PHOTO, MASK)], "segmentation", arrangements=2)
    made = VisualPrompter(engine, [(PHOTO, MASK)], "segmentation", arrangements=2, border=border)
    path, again = tmp_path / "b.vicl", tmp_path / "c.vicl"
    made.save(path)
    made.save(again)
    assert path.read_bytes() == again.read_bytes()
    opened = VisualPrompter.load(path, model=engine)
    assert isinstance(opened.learned, Border)
    assert opened.learned.fingerprint == border.fingerprint
    first, second, without = (one.predict(QUERY) for one in (made, opened, plain))
    assert np.array_equal(np.asarray(first.canvas), np.asarray(second.canvas))
    assert np.array_equal(first.scores, second.scores)
    assert not np.array_equal(np.asarray(first.canvas), np.asarray(without.canvas))
    assert made.made_by() != plain.made_by()
    assert "border" not in plain.made_by()
    for any_model in (False, True):
        with pytest.raises(PromptFileError, match=r"was made with|learned with") as caught:
            VisualPrompter.load(path, model=other, any_model=any_model)
    assert "border: learned with mine" in str(caught.value)
    with pytest.raises(LearnedError, match=r"learned with mine .*the engine is other"):
        VisualPrompter(other, [(PHOTO, MASK)], "segmentation", border=border)
    with pytest.raises(LearnedError, match="the engine is copy"):
        VisualPrompter("copy", [(PHOTO, MASK)], "segmentation", border=border)


def test_a_file_alone_or_a_folder(tmp_path: Path, engines: tuple[MAEVQGAN, MAEVQGAN]) -> None:
    border = border_for(engines[0], mode="spimg_qrimg")
    border.save(tmp_path / "border.safetensors")
    for given in (tmp_path, tmp_path / "border.safetensors"):
        found = as_border(given)
        assert found is not None
        assert found.to_bytes() == border.to_bytes()
        assert (found.told.mode, found.told.weights_hash) == (
            "spimg_qrimg",
            engines[0].weights_hash,
        )
    with pytest.raises(LearnedError, match=r"nowhere: no such file; expected border.safetensors"):
        as_border(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "damage", ["cut", "empty", "told", "shape", "nan", "half", "more", "pickle"]
)
def test_damaged_borders_are_named(damage: str, engines: tuple[MAEVQGAN, MAEVQGAN]) -> None:
    data = border_for(engines[0]).to_bytes()
    parts = load(data)
    length = int.from_bytes(data[:8], "little")
    told = json.loads(data[8 : 8 + length])["__metadata__"]
    if damage == "told":
        told = {"vicl": told["vicl"].replace("spimg_spmask", "everywhere")}
    elif damage == "shape":
        parts["left"] = parts["left"][:, :, :-1].contiguous()
    elif damage == "nan":
        parts["up"][0, 0, 0, 0] = float("nan")
    elif damage == "half":
        parts["up"] = parts["up"].half()
    elif damage == "more":
        parts["middle"] = parts["up"].clone()
    broken = {"cut": data[:-7], "empty": b"", "pickle": b"\x80\x04."}.get(
        damage, save(parts, metadata=told)
    )
    with pytest.raises(LearnedError, match=r"^one: "):
        read_border(broken, "one")


def test_a_prompt_file_that_lost_its_border_says_so(
    tmp_path: Path, engines: tuple[MAEVQGAN, MAEVQGAN]
) -> None:
    border, path = border_for(engines[0]), tmp_path / "b.vicl"
    VisualPrompter(engines[0], [(PHOTO, MASK)], "segmentation", border=border).save(path)
    for data in (None, b"not a border"):
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "x.vicl", "w") as new:
            for name in old.namelist():
                if name != "border.safetensors":
                    new.writestr(name, old.read(name))
            if data is not None:
                new.writestr("border.safetensors", data)
        with pytest.raises(PromptFileError, match=r"x.vicl: .*border"):
            VisualPrompter.load(tmp_path / "x.vicl", model=engines[0])
