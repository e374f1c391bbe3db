"""The list of adapters, which is there without the libraries; and what guards their names."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from vicl.adapters.registry import ADAPTERS
from vicl.cli import main
from vicl.generators.registry import GENERATORS
from vicl.segmenters.registry import SEGMENTERS
from vicl.storage.folder import ModelError

PROCESSORS = {
    "bit": "Bit",
    "clip": "CLIP",
    "grounding_dino": "GroundingDino",
    "owlv2": "Owlv2",
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


def test_a_missing_library_is_named_with_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    rows = [(kind, a) for a in ADAPTERS if a.extra == "diffusers" for kind in a.kinds]
    assert {adapter.role for _, adapter in rows} == {"engine", "inpainter", "generator"}
    (tmp_path / "unet").mkdir()
    for kind, adapter in rows:
        (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": kind}))
        for attention in ("default", "gated"):
            (tmp_path / "unet" / "config.json").write_text(f'{{"attention_type": "{attention}"}}')
            with pytest.raises(ModelError, match=r'pip install "vicl\[diffusers\]"'):
                adapter.make(tmp_path, None, torch.device("cpu"))


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
