"""The list of adapters, which is there without the libraries; and what guards their names."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from vicl.adapters.registry import ADAPTERS
from vicl.cli import main
from vicl.segmenters.registry import SEGMENTERS

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


def test_every_adapter_has_a_name_and_kinds_of_its_own() -> None:
    names = [adapter.name for adapter in ADAPTERS]
    assert len(set(names)) == len(names)
    segmenters = {row.name for row in SEGMENTERS if row.folder is None}
    assert segmenters == {a.name for a in ADAPTERS if a.role in ("segmenter", "detector")}
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


@pytest.mark.parametrize("family", PROCESSORS)
def test_processors_without_torchvision_are_where_they_were(family: str) -> None:
    """They have moved and gone between releases of the library; read, not imported, to be quick."""
    library = importlib.util.find_spec("transformers")
    if library is None or library.origin is None:
        pytest.skip('needs pip install "vicl[transformers]"')
    models = Path(library.origin).parent / "models"
    text = (models / family / f"image_processing_pil_{family}.py").read_text()
    assert f"class {PROCESSORS[family]}ImageProcessorPil(" in text
