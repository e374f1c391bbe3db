"""A page of plain HTML that runs an exported prompt in a browser, by onnxruntime-web.

The two files of that library (npm: onnxruntime-web, MIT) do not come with vicl: one has 14 MB.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any, Final

from vicl.files import display, write_atomic

RUNTIME: Final = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""In `dist/` of onnxruntime-web 1.30; what lies beside the page."""


def runtime_files(folder: str | os.PathLike[str]) -> list[Path]:
    """The two files in a folder.

    Raises:
        ValueError: If one is missing.
    """
    if lacking := missing(folder):
        raise ValueError(
            f"{display(folder)}: holds no {' and no '.join(lacking)}; give the folder dist of "
            "npm's onnxruntime-web (npm pack onnxruntime-web@1.30.0, unpacked: package/dist)"
        )
    return [Path(folder) / name for name in RUNTIME]


def missing(folder: str | os.PathLike[str]) -> list[str]:
    """Which of the two are not in a folder."""
    return [name for name in RUNTIME if not (Path(folder) / name).is_file()]


def write_page(graph: Path, told: dict[str, Any], runtime: Sequence[Path]) -> Path:
    """Write the page beside a graph, and the library's files beside both.

    Args:
        graph: The ONNX file of a prompt.
        told: What it says of itself: a browser cannot read that.
        runtime: Copied; none where they lie there already, or come later.
    """
    for file in runtime:
        write_atomic(graph.parent / file.name, file.read_bytes())
    template = Template((Path(__file__).parent / "page.html").read_text(encoding="utf-8"))
    # Within a script no "<" may stand: it could end it.
    values = {name: _script(value) for name, value in (("told", told), ("graph", graph.name))}
    title = html.escape(f"{told['task']}: {', '.join(told['classes']) or told['engine']}")
    page = graph.with_suffix(".html")
    write_atomic(page, template.substitute(title=title, **values).encode())
    return page


def _script(value: Any) -> str:
    return json.dumps(value).replace("<", "\\u003c")
