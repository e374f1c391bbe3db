"""The page: what it says comes from the file; in Chromium it answers as onnxruntime does."""

from __future__ import annotations

import functools
import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.graphs.conftest import SHAPES, scene

import vicl
from vicl.graphs.page import RUNTIME, missing, runtime_files, write_page


@pytest.fixture(scope="session")
def runtime() -> list[Path]:
    """onnxruntime-web's two files; skips where they are absent."""
    folder = os.environ.get("VICL_ORT_WEB", "")
    if not folder or missing(folder):
        pytest.skip(
            "onnxruntime-web is not here: npm pack onnxruntime-web@1.30.0, unpack it, and say "
            "VICL_ORT_WEB=package/dist"
        )
    return runtime_files(folder)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def guess_type(self, path: str | os.PathLike[str]) -> str:
        return "text/javascript" if str(path).endswith(".mjs") else super().guess_type(path)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The address at which the test's folder is served."""
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_names_cannot_end_the_script(tmp_path: Path) -> None:
    told = {"task": "segmentation", "classes": ["</script><b>"], "engine": "e"}
    text = write_page(tmp_path / "</script>.onnx".replace("/", "_"), told, []).read_text()
    assert "</script><b>" not in text
    assert text.count("</script>") == 1
    assert "&lt;/script&gt;&lt;b&gt;" in text


def test_a_folder_without_the_runtime_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"holds no {RUNTIME[0]} and no {RUNTIME[1]}.*npm"):
        runtime_files(tmp_path)


def answered(chromium: Any, address: str, picture: Path) -> tuple[list[int], str]:
    """The pixels of each class that the page finds, and what it says."""
    page = chromium.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(120_000)
    page.goto(address)
    page.wait_for_function("/Choose|Failed/.test(document.getElementById('said').textContent)")
    assert "Failed" not in page.inner_text("#said"), page.inner_text("#said")
    page.set_input_files("#file", picture)
    page.wait_for_function("/Done|Failed/.test(document.getElementById('said').textContent)")
    said = page.inner_text("#said")
    counts = json.loads(page.evaluate("document.body.dataset.counts || '[]'"))
    page.close()
    assert not errors, errors
    return counts, said


@pytest.mark.browser
@pytest.mark.slow
def test_a_tiny_graph_in_a_browser(
    tiny: Callable[..., Path], runtime: list[Path], site: str, tmp_path: Path, chromium: Any
) -> None:
    path = tiny()
    write_page(path, vicl.load_exported(path).info, runtime)
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[:5] = (255, 0, 0)
    picture[5:, :10] = (0, 0, 200)
    Image.fromarray(picture).save(tmp_path / "q.png")
    counts, said = answered(chromium, f"{site}/tiny.html", tmp_path / "q.png")
    assert counts == [200, 0, 150]
    assert "red 25.0%" in said


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["default", "matching"])
def test_a_prompt_in_a_browser(
    exported: Callable[[str], Path],
    engine: str,
    runtime: list[Path],
    site: str,
    tmp_path: Path,
    chromium: Any,
) -> None:
    graph = tmp_path / f"{engine}.onnx"
    graph.write_bytes((exported(engine) / f"{engine}.onnx").read_bytes())
    predictor = vicl.load_exported(graph)
    write_page(graph, predictor.info, runtime)
    picture = scene(SHAPES[0], 1)[0]
    picture.save(tmp_path / "q.png")
    counts, said = answered(chromium, f"{site}/{engine}.html", tmp_path / "q.png")
    wanted = int((predictor.predict(picture).mask == 1).sum())
    assert abs(counts[0] - wanted) <= 0.002 * wanted + 2, said
