"""`vicl export`: wrong usage is told before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.test_cli import vicl


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("leaf.vicl", "leaf.txt"), "expected a name that ends in .onnx"),
        (("leaf.vicl", "there.onnx"), "there.onnx exists already; --overwrite replaces it"),
        (("leaf.vicl", "a.onnx", "--runtime", "."), "--runtime goes with --page"),
        (("default", "out", "--page"), "are for prompt files"),
        (("default", "out", "--int8"), "are for prompt files"),
        (("leaf.vicl", "a.onnx", "--page", "--runtime", "."), "holds no ort.wasm"),
        (("leaf.vicl", "a.onnx"), "leaf.vicl: is not a file; expected a prompt file"),
        (("nobody", "out"), "segmenter: got 'nobody'"),
    ],
)
def test_wrong_usage(
    words: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.onnx").touch()
    result = vicl("export", *words)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["there.onnx"]
