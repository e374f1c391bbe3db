"""Writing down what an evaluation found: results.json, contact sheets, and the page."""

from __future__ import annotations

import io
import json
import logging
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from PIL import Image

import vicl
from vicl.engine import InContextModel
from vicl.evaluation.episodes import Dataset
from vicl.evaluation.reporting.gallery import draw_sheets
from vicl.evaluation.reporting.page import draw_page
from vicl.evaluation.running.engines import device_of
from vicl.evaluation.running.results import Results
from vicl.evaluation.running.run_folder import PAGE, RESULTS
from vicl.files import write_atomic
from vicl.files.machine import processor

PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "pillow")

log = logging.getLogger(__name__)


def write_report(
    results: Results, engines: Mapping[str, InContextModel], dataset: Dataset, out: Path
) -> None:
    """Write results.json, sheet-best.png and its like, and index.html, each whole or not at all.

    Args:
        results: What was found.
        engines: That answered, by name, in the order of the results.
        dataset: Loads the episodes that the sheets show.
        out: The run's folder.

    Raises:
        FileError: If something cannot be written.
    """
    found = results.to_json() | {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": {
            "vicl": vicl.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "machine": processor(device_of(engines[results.engines[-1].name])),
    }
    write_atomic(out / RESULTS, json.dumps(found, indent=1, ensure_ascii=False).encode())
    try:
        sheets = draw_sheets(results, engines, dataset)
    except (ValueError, OSError, RuntimeError) as error:
        # The numbers stand; files may have gone since an earlier process scored them.
        log.warning("no contact sheets: %s", error)
        sheets = {}
    pictures = {rank: _png(sheet) for rank, sheet in sheets.items()}
    for rank, picture in pictures.items():
        write_atomic(out / f"sheet-{rank}.png", picture)
    write_atomic(out / PAGE, draw_page(results, pictures, found).encode())


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
