"""The list of adapters, which is there without the libraries; and what guards their names."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import vicl
from vicl.adapters.registry import ADAPTERS, Adapter
from vicl.cli import main
from vicl.generators.registry import GENERATORS
from vicl.segmenters.registry import SEGMENTERS
from vicl.storage.folder import ModelError
from vicl.storage.hub import cached_models

PROCESSORS = {
    "bit": "Bit",
    "clip": "CLIP",
    "grounding_dino": "GroundingDino",
    "idefics2": "Idefics2",
    "idefics3": "Idefics3",
    "owlv2": "Owlv2",
    "qwen2_vl": "Qwen2VL",
    "sam": "Sam",
    "seggpt": "SegGpt",
    "siglip": "Siglip",
    "vit": "ViT",
}
"""Families that have a processor without torchvision, which says how images are prepared."""


PARTS = {
    "AutoencoderKL",
    "ControlNetModel",
    "DDIMScheduler",
    "FlowMatchEulerDiscreteScheduler",
    "FluxTransformer2DModel",
    "StableDiffusionControlNetInpaintPipeline",
    "StableDiffusionControlNetPipeline",
    "UNet2DConditionModel",
}
"""What is taken of diffusers beside the pipelines of the list."""


def test_every_adapter_has_a_name_and_kinds_of_its_own() -> None:
    names = [adapter.name for adapter in ADAPTERS]
    assert len(set(names)) == len(names)
    segmenters = {row.name for row in SEGMENTERS if row.folder is None}
    assert segmenters == {a.name for a in ADAPTERS if a.role in ("segmenter", "detector")}
    assert {row.name for row in GENERATORS} == {a.name for a in ADAPTERS if a.role == "generator"}
    for role in {adapter.role for adapter in ADAPTERS}:
        kinds = [kind for a in ADAPTERS if a.role == role for kind in a.kinds]
        assert len(set(kinds)) == len(kinds)


def test_models_lists_them_with_what_they_need() -> None:
    listed = CliRunner().invoke(main, ["models", "--json"]).stdout
    rows = {row["name"]: row for row in map(json.loads, listed.splitlines())}
    assert rows["sam2"]["takes"] == ["box", "mask", "points", "scribbles"]
    assert rows["sam2"]["needs"] == "transformers"
    text = CliRunner().invoke(main, ["models"]).stdout
    assert 'pip install "vicl[transformers,hub]"' in text
    assert 'vicl.load_segmenter("hub:facebook/sam-vit-base")' in text
    assert 'vicl.load_model("hub:BAAI/seggpt-vit-large")' in text
    assert text.count("\nsam2\n") == 1
    assert rows["gligen"]["takes"] == ["boxes", "image", "keypoints", "references"]
    assert rows["gligen"]["needs"] == "diffusers"
    assert 'pip install "vicl[diffusers,hub]"' in text
    assert 'vicl.load_generator("hub:masterful/gligen-1-4-generation-text-box@refs/pr/2")' in text


EACH = [(kind, adapter) for adapter in ADAPTERS for kind in sorted(adapter.kinds)]


def bare(kind: str, adapter: Adapter, folder: Path) -> None:
    """A folder that says what it holds, and has nothing of it."""
    if adapter.extra == "transformers":
        (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    else:
        (folder / "model_index.json").write_text(json.dumps({"_class_name": kind}))
        (folder / "unet").mkdir(exist_ok=True)
        (folder / "unet" / "config.json").write_text('{"attention_type": "gated"}')


@pytest.mark.parametrize(("kind", "adapter"), EACH, ids=[f"{a.name}-{k}" for k, a in EACH])
def test_what_is_missing_is_named_with_the_command_that_brings_it(
    kind: str, adapter: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = getattr(vicl, adapter.loader.removeprefix("vicl."))
    with pytest.raises(ValueError, match="hub:owner/name"):
        load(str(tmp_path / "nothing"))
    bare(kind, adapter, tmp_path)
    with monkeypatch.context() as hidden:
        hidden.setitem(sys.modules, adapter.extra, None)
        for attention in ("default", "gated"):
            if (tmp_path / "unet").is_dir():
                said = f'{{"attention_type": "{attention}"}}'
                (tmp_path / "unet" / "config.json").write_text(said)
            with pytest.raises(ModelError, match=rf'pip install "vicl\[{adapter.extra}\]"'):
                load(str(tmp_path), device="cpu")
    if importlib.util.find_spec(adapter.extra) is not None:
        with pytest.raises(ModelError, match=r'hub:owner/name.*pip install "vicl\[hub\]"'):
            load(str(tmp_path), device="cpu")
    with monkeypatch.context() as hidden:
        hidden.setitem(sys.modules, "huggingface_hub", None)
        with pytest.raises(ModelError, match=r'pip install "vicl\[hub\]"'):
            load(f"hub:{adapter.example.partition('+')[0]}")


def test_models_says_what_a_folder_holds_and_under_which_licence(tmp_path: Path) -> None:
    bare("seggpt", next(a for a in ADAPTERS if a.name == "seggpt"), tmp_path)
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    shown = CliRunner().invoke(main, ["models", str(tmp_path)]).stdout
    assert "holds: seggpt" in shown
    assert "licence: mit" in shown
    assert "weights: sha256 not here" in shown
    assert "vicl.load_model(" in shown
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    row = json.loads(CliRunner().invoke(main, ["models", str(tmp_path), "--json"]).stdout)
    assert row["weights_hash"] == hashlib.sha256(b"weights").hexdigest()
    one = CliRunner().invoke(main, ["models", "seggpt"]).stdout
    assert one.startswith("seggpt\n")
    assert one.count("load it:") == 1
    wrong = CliRunner().invoke(main, ["models", "nothing"])
    assert wrong.exit_code == 2
    assert "expected a name that vicl models lists" in wrong.stderr


def test_doctor_lists_what_was_fetched_with_its_licence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub", reason='needs pip install "vicl[hub]"')
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "none"))
    assert cached_models() == {}
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name, kind in (("seggpt", "seggpt"), ("other", "bert")):
        folder = tmp_path / f"models--owner--{name}" / "snapshots" / ("0" * 40)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"model_type": kind}))
        (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    assert [*cached_models()] == ["owner/other", "owner/seggpt"]
    report = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)
    told = {"owner/seggpt": "licence: mit; hash: vicl models hub:owner/seggpt"}
    assert report["others' models"] == told
    assert set(report["adapters"]) == {adapter.name for adapter in ADAPTERS}


def test_pipelines_and_their_parts_are_where_they_were() -> None:
    """Read, not imported, to be quick."""
    library = importlib.util.find_spec("diffusers")
    if library is None or library.origin is None:
        pytest.skip('needs pip install "vicl[diffusers]"')
    names = Path(library.origin).read_text()
    kinds = {kind for a in ADAPTERS if a.extra == "diffusers" for kind in a.kinds}
    own = {"StableDiffusionGLIGENPipeline", "StableDiffusionGLIGENTextImagePipeline"}
    for name in (kinds - own) | PARTS:
        assert f'"{name}"' in names, name
    models = Path(library.origin).parent / "models"
    assert "class GatedSelfAttentionDense(" in (models / "attention.py").read_text()
    unet = (models / "unets" / "unet_2d_condition.py").read_text()
    assert 'cross_attention_kwargs.pop("gligen")' in unet
    assert "self.position_net(**gligen_args)" in unet


@pytest.mark.parametrize("family", PROCESSORS)
def test_processors_without_torchvision_are_where_they_were(family: str) -> None:
    """They have moved and gone between releases of the library; read, not imported, to be quick."""
    library = importlib.util.find_spec("transformers")
    if library is None or library.origin is None:
        pytest.skip('needs pip install "vicl[transformers]"')
    models = Path(library.origin).parent / "models"
    text = (models / family / f"image_processing_pil_{family}.py").read_text()
    assert f"class {PROCESSORS[family]}ImageProcessorPil(" in text
