"""Model folders: saved whole, loaded exactly, known by the hash of their weights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from pydantic import ValidationError
from safetensors.torch import load_file
from tests.models.fabricated import tiny_model
from tests.models.kinds import tiny
from tests.pictures import picture

import vicl
from vicl.cli import main
from vicl.files import hash_file
from vicl.files.packaged import WEIGHTS
from vicl.images import save_image, to_pil
from vicl.loading import load_folder, load_model, load_tokenizer
from vicl.models.autoregressive import AutoregressiveConfig
from vicl.models.beit import BEiTConfig
from vicl.models.configs import Asking, Config, VQGANConfig
from vicl.models.mae import MAEConfig
from vicl.models.mae_vqgan import MAEVQGAN, MAEVQGANConfig
from vicl.models.pretrained import save_folder
from vicl.models.unet import UNet, UNetConfig
from vicl.models.vqgan import VQGAN
from vicl.prompting.prompt_file import PromptFileError
from vicl.storage.folder import KeysError, ModelError, weights_hash
from vicl.storage.hub import fetch_from_hub


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "mine"
    save_folder(MAEVQGAN(tiny()), path)
    return path


def test_what_was_saved_is_what_is_loaded(folder: Path) -> None:
    model: Any = load_folder(folder, device="cpu")
    expected = MAEVQGAN(tiny()).state_dict()
    assert model.config == tiny()
    assert model.name == "mine"
    assert not model.training
    assert model.weights_hash == hash_file(folder / "model.safetensors") == weights_hash(model)
    assert all(torch.equal(expected[k], v) for k, v in model.state_dict().items())
    theirs = load_file(folder / "model.safetensors")
    assert theirs.keys() == expected.keys()
    assert all(torch.equal(theirs[k], expected[k]) for k in theirs)
    # Whoever may read the configuration may read the weights.
    modes = {(folder / name).stat().st_mode for name in ("config.json", "model.safetensors")}
    assert len(modes) == 1
    buffers = dict(MAEVQGAN(tiny()).named_buffers())
    assert all(torch.equal(buffers[k], v) for k, v in model.named_buffers())
    image, hole = torch.rand(1, 3, 64, 64), torch.zeros(1, 64, 64, dtype=torch.bool)
    hole[:, 32:, 32:] = True
    built = MAEVQGAN(tiny()).eval()
    assert torch.equal(model.inpaint(image, hole).image, built.inpaint(image, hole).image)


def test_a_folder_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MAEVQGAN(tiny())

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("vicl.storage.folder.save_file", full)
        with pytest.raises(ModelError, match="No space left"):
            save_folder(model, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    save_folder(model, tmp_path / "a")
    with pytest.raises(ModelError, match="there already"):
        save_folder(model, tmp_path / "a")
    with monkeypatch.context() as patch:
        patch.setattr("vicl.storage.folder.save_file", full)
        with pytest.raises(ModelError, match="No space left"):
            save_folder(model, tmp_path / "a", overwrite=True)
    load_folder(tmp_path / "a")
    save_folder(MAEVQGAN(tiny(), seed=1), tmp_path / "a", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").touch()
    with pytest.raises(ModelError, match="holds other things"):
        save_folder(model, tmp_path / "b", overwrite=True)


def test_folders_that_do_not_fit_together(folder: Path, tmp_path: Path) -> None:
    save_folder(MAEVQGAN(tiny()), tmp_path / "a")
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    config["architecture"]["depth"] = 3
    (tmp_path / "a" / "config.json").write_text(json.dumps(config))
    with pytest.raises(KeysError) as caught:
        load_folder(tmp_path / "a")
    assert all(name.startswith("encoder.blocks.2.") for name in caught.value.missing)
    assert caught.value.unexpected == []
    weights = (folder / "model.safetensors").read_bytes()
    (tmp_path / "a" / "model.safetensors").write_bytes(weights[:-1])
    with pytest.raises(ValueError, match=r"model\.safetensors: .*not fully covered"):
        load_folder(tmp_path / "a")
    (tmp_path / "a" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        load_model(tmp_path / "a")


def test_the_folder_of_a_tokenizer(tmp_path: Path) -> None:
    """It saves and loads, is given to recipes, and says so where a model is wanted."""
    vqgan = VQGAN(tiny().tokenizer, seed=3)
    vqgan.save_pretrained(tmp_path / "codes")
    loaded = load_tokenizer(tmp_path / "codes", device="cpu")
    assert (loaded.config, loaded.name) == (vqgan.config, "codes")
    assert loaded.weights_hash == hash_file(tmp_path / "codes" / "model.safetensors")
    image = picture(32, 32)[None]
    assert torch.equal(loaded.decode(loaded.encode(image)), vqgan.decode(vqgan.encode(image)))
    assert isinstance(VQGAN.from_pretrained(tmp_path / "codes", device="cpu"), VQGAN)
    with pytest.raises(ModelError, match=r"is a tokenizer.*model\.tokenizer="):
        load_model(tmp_path / "codes", device="cpu")
    with pytest.raises(ModelError, match="is a vqgan, not a mae-vqgan"):
        MAEVQGAN.from_pretrained(tmp_path / "codes", device="cpu")


def test_the_tokenizer_of_a_model(folder: Path, tmp_path: Path) -> None:
    found = load_tokenizer(folder, device="cpu", dtype="bfloat16")
    assert found.codebook.dtype == torch.bfloat16
    expected = MAEVQGAN(tiny()).tokenizer.codebook
    assert torch.equal(found.codebook, expected.to(torch.bfloat16))
    save_folder(UNet(UNetConfig(canvas_size=(32, 32), patch_size=8, widths=(4,))), tmp_path / "u")
    with pytest.raises(ModelError, match="is a UNet, which has no tokenizer"):
        load_tokenizer(tmp_path / "u", device="cpu")
    with pytest.raises(ValueError, match="no such file"):
        load_tokenizer(tmp_path / "nothing")


def test_a_tokenizer_by_an_engine_s_name() -> None:
    """What comes with the package is named as for `load_model`; the rest says what is expected."""
    own = load_tokenizer("default", device="cpu")
    assert own.weights_hash == load_tokenizer(WEIGHTS / "default", device="cpu").weights_hash
    for name, said in (("matching", "is a MatchingHead"), ("copy", "has no weights")):
        with pytest.raises(ModelError, match=f"^{name}: {said}.*no tokenizer; give the folder of"):
            load_tokenizer(name, device="cpu")


HUGE: list[tuple[type[Config], dict[str, Any]]] = [
    (MAEVQGANConfig, {"canvas_size": (1 << 14, 1 << 14), "embed_dim": 1 << 10}),
    (MAEConfig, {"canvas_size": (1 << 16, 1 << 16)}),
    (MAEConfig, {"decoder_depth": 300}),
    (BEiTConfig, {"depth": 300}),
    (AutoregressiveConfig, {"tokenizer": {"blocks": 300}}),
    (VQGANConfig, {"blocks": 300}),
    (VQGANConfig, {"codebook_size": 1 << 17}),
    (UNetConfig, {"widths": (1 << 17,)}),
]


@pytest.mark.parametrize(("config", "numbers"), HUGE)
def test_models_that_no_memory_holds_are_refused(
    config: type[Config], numbers: dict[str, Any]
) -> None:
    config()
    with pytest.raises(ValidationError, match=r"too large a model|less than or equal to"):
        config.model_validate(numbers)


def test_a_folder_of_format_1_opens(folder: Path, tmp_path: Path) -> None:
    """There how a model is asked stood in its architecture."""
    shutil.copytree(folder, tmp_path / "old")
    file = tmp_path / "old" / "config.json"
    config = json.loads(file.read_text())
    assert config.pop("asking") == Asking().model_dump()
    before = {"drawing": "expected", "drawing_temperature": 0.7, "most_examples": 1, "spins": 2}
    config["format"] = 1
    config["architecture"] |= before
    file.write_text(json.dumps(config))
    model: Any = load_folder(tmp_path / "old", device="cpu")
    assert (model.config, model.asking) == (tiny(), Asking(**before))
    model.save_pretrained(tmp_path / "new")
    again = load_folder(tmp_path / "new", device="cpu")
    assert (again.config, again.asking, again.weights_hash) == (
        *(tiny(), Asking(**before)),
        model.weights_hash,
    )
    assert json.loads((tmp_path / "new" / "config.json").read_text())["format"] == 2
    config["architecture"]["spins"] = 9
    file.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"config\.json: is no valid configuration: .*spins"):
        load_folder(tmp_path / "old")
    config["format"] = 2
    file.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="is no key"):
        load_folder(tmp_path / "old")


def test_a_way_of_asking_that_a_model_has_not(folder: Path, tmp_path: Path) -> None:
    VQGAN(tiny().tokenizer).save_pretrained(tmp_path / "codes")
    save_folder(UNet(UNetConfig(canvas_size=(32, 32), patch_size=4, widths=(4,))), tmp_path / "u")
    for name, asking, complaint in (
        ("codes", {"spins": 1}, "a vqgan, which answers nothing"),
        ("u", {"spins": 5}, "asking.spins: got 5, expected at most patch_size = 4"),
        ("u", {"drawing": "expected"}, "which is for a MAE-VQGAN only"),
    ):
        file = tmp_path / name / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"asking": asking}))
        with pytest.raises(ModelError, match=complaint):
            load_folder(tmp_path / name)


class Hub(ModuleType):
    """A stand-in for huggingface_hub: repositories are folders."""

    def __init__(self, root: Path) -> None:
        super().__init__("huggingface_hub")
        self.root = root
        self.calls: list[dict[str, Any]] = []

    def HfApi(self) -> Hub:  # noqa: N802
        return self

    def create_repo(self, repo_id: str, **options: Any) -> None:
        self.calls.append({"create": repo_id, **options})

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> str:
        if "full" in repo_id:
            raise OSError("no room")
        shutil.copytree(folder_path, self.root / repo_id)
        self.calls.append({"message": commit_message})
        return f"https://hub/{repo_id}/commit/1"

    def snapshot_download(self, repo_id: str, **options: Any) -> str:
        assert "model.safetensors" in options["allow_patterns"]
        return str(self.root / repo_id)


def test_sharing_a_model_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    model = MAEVQGAN(tiny(), seed=5)
    model.asking = Asking(spins=2)
    assert (
        model.push_to_hub("me/mine", private=True, card="# c\n") == "https://hub/me/mine/commit/1"
    )
    assert hub.calls == [
        {"create": "me/mine", "private": True, "exist_ok": True},
        {"message": "Upload a model with vicl"},
    ]
    assert (tmp_path / "me/mine/README.md").read_text() == "# c\n"
    names = {path.name for path in (tmp_path / "me/mine").iterdir()}
    assert names == {"config.json", "model.safetensors", "README.md"}
    for again in (load_model("me/mine"), MAEVQGAN.from_pretrained("me/mine")):
        assert isinstance(again, MAEVQGAN)
        assert (again.name, again.asking) == ("mine", model.asking)
        assert weights_hash(again) == weights_hash(model)
    with pytest.raises(ModelError, match=r"me/full: cannot be uploaded .*no room.*hf auth login"):
        model.push_to_hub("me/full")
    model.push_to_hub("me/plain", message="Better")
    assert hub.calls[-1] == {"message": "Better"}
    assert "# plain\n" in (tmp_path / "me/plain/README.md").read_text()


def test_devices_and_types(folder: Path) -> None:
    model: Any = load_model(folder, device="cpu", dtype="bfloat16")
    assert model.head.weight.dtype == torch.bfloat16
    assert model.weights_hash == hash_file(folder / "model.safetensors")
    assert load_model(folder).head.weight.dtype == torch.float32
    with pytest.raises(ValueError, match=r"dtype: got 'float8', expected one of auto"):
        load_model(folder, dtype="float8")
    missing = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(ValueError, match=f"device: got '{missing}', expected one of those"):
        load_model(folder, device=missing)


def test_the_methods_of_a_model(folder: Path, tmp_path: Path) -> None:
    model = MAEVQGAN.from_pretrained(folder, device="cpu")
    model.save_pretrained(tmp_path / "again", card="# mine\n")
    assert (tmp_path / "again" / "README.md").read_text() == "# mine\n"
    assert hash_file(tmp_path / "again" / "model.safetensors") == model.weights_hash


def test_what_load_model_does_not_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VICL_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match="got 'nonsense', expected one of matching, default, "):
        load_model("nonsense")
    with pytest.raises(ValueError, match="vicl download mae-vqgan-large-figures"):
        load_model("mae-vqgan-large-figures")
    with pytest.raises(ValueError, match=r"no such file"):
        load_model("/no/such/model.pth")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match=r"vicl\[hub\]"):
        fetch_from_hub("owner/name")


def test_a_prompt_file_keeps_the_hash(folder: Path, tmp_path: Path) -> None:
    photo = picture(64, 64)
    prompt = tmp_path / "p.vicl"
    saved = vicl.VisualPrompter(folder, [(photo, photo)], "image", device="cpu")
    saved.save(prompt)
    expected = saved.predict(photo)
    with pytest.raises(PromptFileError, match="made with model 'mine'"):
        vicl.VisualPrompter.load(prompt)
    renamed = tmp_path / "renamed"
    save_folder(MAEVQGAN(tiny()), renamed)
    loaded = vicl.VisualPrompter.load(prompt, model=renamed, device="cpu")
    assert np.array_equal(np.asarray(loaded.predict(photo).image), np.asarray(expected.image))
    save_folder(MAEVQGAN(tiny(), seed=1), tmp_path / "mine")
    with pytest.raises(PromptFileError, match="was made with mine"):
        vicl.VisualPrompter.load(prompt, model=tmp_path / "mine")


def test_predict_with_a_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("q").mkdir()
    for name in ("in.png", "out.png", "q/a.png", "q/b.png"):
        save_image(to_pil(picture(40, 30)), name)
    example = ["--example", "in.png", "out.png"]
    arguments = ["predict", *example, "--model", str(folder), "q", "-o", "o", "--canvas"]
    extra = ["--contact-sheet", "sheet.png", "--save-prompt", "p.vicl", "--samples", "2"]
    result = CliRunner().invoke(main, [*arguments, *extra])
    assert result.exit_code == 0, result.stderr
    assert {"a.png", "a.canvas.png", "b.png", "b.canvas.png"} <= {
        p.name for p in Path("o").iterdir()
    }
    assert Path("sheet.png").exists()
    again = ["predict", "--prompt", "p.vicl", "--model", str(folder), "q", "-o", "again"]
    assert CliRunner().invoke(main, again).exit_code == 0
    assert Path("o/a.png").read_bytes() == Path("again/a.png").read_bytes()


def test_help_imports_no_torch() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom vicl.cli import main\n"
        "for c in ('convert', 'download', 'models'):\n"
        "    assert CliRunner().invoke(main, [c, '--help']).exit_code == 0\n"
        "assert CliRunner().invoke(main, ['download', '--list']).exit_code == 0\n"
        "assert 'torch' not in sys.modules and 'huggingface_hub' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_safetensors_file_of_a_folder_is_the_folder(folder: Path) -> None:
    assert load_model(folder / "model.safetensors", device="cpu").name == "mine"


def test_tiny_models_of_the_other_tests_can_be_saved(tmp_path: Path) -> None:
    model = tiny_model()
    save_folder(model, tmp_path / "x")
    assert load_folder(tmp_path / "x").config == model.config


def test_half_precision_is_half_the_size_and_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    model = MAEVQGAN(tiny())
    save_folder(model, tmp_path / "whole")
    save_folder(model, tmp_path / "half", dtype=torch.float16)
    whole, half = (load_folder(tmp_path / name) for name in ("whole", "half"))
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half")]
    assert 1.8 < sizes[0] / sizes[1] < 2.1
    for one, other in zip(whole.parameters(), half.parameters(), strict=True):
        assert other.dtype == torch.float32
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-6)
    with torch.no_grad():
        next(model.parameters()).fill_(7e4)
    with pytest.raises(ModelError, match=r"not finite in torch\.float16"):
        save_folder(model, tmp_path / "over", dtype=torch.float16)
    assert not (tmp_path / "over").exists()
