"""`vicl download`: fetched, checked, converted; licences and lists."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from tests.models.fabricated import YAML, lightning, published, save, tiny_config, tiny_model
from tests.models.formula import weight
from tests.published.serving import Server

from vicl.cli import main
from vicl.loading import load_model
from vicl.metrics.perceptual import alexnet, load_lpips
from vicl.published import download as downloads
from vicl.published.convert import convert, read_published


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own; models of the tests' width get their heads."""
    monkeypatch.setenv("VICL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("vicl.published.keys.HEADS", {16: 4, 8: 2})
    return tmp_path / "cache"


def listed(server: Server, folder: Path, *, inside: bool = True, **changes: Any) -> Path:
    """A list with one model, whose files the server has."""
    model = tiny_model()
    parts = {
        "checkpoint": save(published(model, inside=inside), folder / "made.pth").read_bytes(),
        "vqgan": save(lightning(model), folder / "made.ckpt").read_bytes(),
        "vqgan_config": YAML.encode(),
    }
    server.files = {f"/{role}": data for role, data in parts.items()}
    files = [
        {
            "role": role,
            "name": f"{role}.bin",
            "url": f"{server.address}/{role}",
            "page": "https://page.example",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size": len(data),
        }
        | changes
        for role, data in parts.items()
    ]
    licence = {"name": "CC BY 4.0", "text": "Say who made it.", "url": "https://licence.example"}
    entry = {"name": "tiny", "title": "A tiny model", "licence": licence, "files": files}
    index = folder / "index.json"
    index.write_text(json.dumps({"format": 1, "models": [entry]}))
    return index


def vicl(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["download", *map(str, arguments)])


def test_one_command_fetches_and_converts(server: Server, tmp_path: Path, cache: Path) -> None:
    index = listed(server, tmp_path)
    result = vicl("tiny", "--index", index, "--accept-licence")
    assert result.exit_code == 0, result.stderr
    folder = cache / "models" / "tiny"
    assert result.stdout == f"{folder}\n"
    assert "CC BY 4.0. Say who made it." in result.stderr
    assert "CC BY 4.0. Say who made it." in (folder / "README.md").read_text()
    assert [path for path, _, _ in server.asked] == ["/checkpoint"]
    assert load_model("tiny", device="cpu").config == tiny_config()
    server.asked.clear()
    assert vicl("tiny", "--index", index, "--accept-licence").exit_code == 0
    assert server.asked == []


@pytest.mark.slow
def test_a_vqgan_of_its_own_is_fetched_if_it_is_needed(
    server: Server, tmp_path: Path, cache: Path
) -> None:
    index = listed(server, tmp_path, inside=False)
    result = vicl("tiny", "--index", index, "--accept-licence", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert [path for path, _, _ in server.asked] == ["/checkpoint", "/vqgan", "/vqgan_config"]
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_the_licence_must_be_accepted(server: Server, tmp_path: Path, cache: Path) -> None:
    result = vicl("tiny", "--index", listed(server, tmp_path))
    assert result.exit_code == 2
    assert "CC BY 4.0" in result.stderr
    assert "--accept-licence" in result.stderr
    assert server.asked == []


@pytest.mark.slow
def test_an_unknown_hash_is_a_decision_of_the_user(
    server: Server, tmp_path: Path, cache: Path
) -> None:
    index = listed(server, tmp_path, sha256=None, size=None)
    command = ("tiny", "--index", index, "--accept-licence")
    result = vicl(*command)
    assert result.exit_code == 1
    assert "--unverified" in result.stderr
    assert server.asked == []
    assert vicl(*command, "--sha256", "0" * 64).exit_code == 1
    assert not (cache / "models").exists()
    right = hashlib.sha256(server.files["/checkpoint"]).hexdigest()
    assert vicl(*command, "--sha256", right).exit_code == 0


@pytest.mark.slow
def test_an_unverified_file_is_remembered(server: Server, tmp_path: Path, cache: Path) -> None:
    index = listed(server, tmp_path, sha256=None, size=None)
    command = ("tiny", "--index", index, "--accept-licence", "--unverified")
    assert vicl(*command).exit_code == 0
    file = cache / "downloads" / "tiny" / "checkpoint.bin"
    file.unlink()
    server.files["/checkpoint"] = save(published(tiny_model(seed=1)), tmp_path / "o").read_bytes()
    for path in (cache / "models" / "tiny").iterdir():
        path.unlink()
    result = vicl(*command)
    assert result.exit_code == 1
    assert "it is not the published file" in result.stderr


@pytest.mark.slow
def test_offline_it_says_what_to_put_where(
    server: Server, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = listed(server, tmp_path, url="http://127.0.0.1:9/x")
    result = vicl("tiny", "--index", index, "--accept-licence")
    file = cache / "downloads" / "tiny" / "checkpoint.bin"
    assert result.exit_code == 1
    assert f"get https://page.example on a machine that can, put it at {file}" in result.stderr
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(server.files["/checkpoint"])
    assert vicl("tiny", "--index", index, "--accept-licence").exit_code == 0
    index = listed(server, tmp_path, url=None)
    file.unlink()
    result = vicl("tiny", "--index", index, "--accept-licence", "-o", tmp_path / "x")
    assert "no direct address is known" in result.stderr


def test_lpips_becomes_one_file(server: Server, tmp_path: Path, cache: Path) -> None:
    """Of a trunk and its heads; without the classifier, which nobody needs."""
    with torch.device("meta"):
        shapes = {name: tuple(v.shape) for name, v in alexnet().state_dict().items()}
    trunk = {name: weight(name, shape) for name, shape in shapes.items()}
    heads = {
        f"lin{index}.model.1.weight": weight(f"lin{index}", (1, width, 1, 1)).abs()
        for index, width in enumerate((64, 192, 384, 256, 256))
    }
    torch.save(trunk | {"classifier.1.weight": torch.zeros(5, 5)}, tmp_path / "trunk")
    torch.save(heads, tmp_path / "heads")
    files = []
    for role in ("trunk", "heads"):
        data = server.files[f"/{role}"] = (tmp_path / role).read_bytes()
        files.append(
            {
                "role": role,
                "name": f"{role}.pth",
                "url": f"{server.address}/{role}",
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
    entry = {"name": "far", "title": "F", "licence": {"name": "BSD", "text": ""}, "files": files}
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"format": 1, "models": [entry]}))
    for asked in (["/trunk", "/heads"], []):
        server.asked.clear()
        result = vicl("far", "--index", index, "--accept-licence")
        assert result.exit_code == 0, result.stderr
        assert [path for path, _, _ in server.asked] == asked
    path = cache / "models" / "far" / "model.safetensors"
    assert result.stdout == f"{path}\n"
    assert f"--lpips {path}" in result.stderr
    assert downloads.downloaded("far") == path.parent
    with pytest.raises(ValueError, match=r"far answers nothing; .*--lpips"):
        load_model("far")
    made = load_lpips(path).state_dict()
    assert torch.equal(made["trunk.features.0.weight"], trunk["features.0.weight"])
    assert torch.equal(made["head_4"], heads["lin4.model.1.weight"].flatten())
    path.unlink()
    server.files["/heads"] += b"x"
    (cache / "downloads" / "far" / "heads.pth").unlink()
    assert vicl("far", "--index", index, "--accept-licence").exit_code == 1
    assert not path.exists()
    del heads["lin4.model.1.weight"]
    torch.save(heads, tmp_path / "heads")
    server.files["/heads"] = (tmp_path / "heads").read_bytes()
    files[1]["sha256"] = hashlib.sha256(server.files["/heads"]).hexdigest()
    index.write_text(json.dumps({"format": 1, "models": [entry]}))
    lacking = vicl("far", "--index", index, "--accept-licence")
    assert lacking.exit_code == 1
    assert "lack lin4.model.1.weight" in lacking.stderr
    assert not path.exists()


def test_the_list_of_the_package() -> None:
    models = downloads.published()
    lpips = models["lpips-alex"]
    assert [file.role for file in lpips.files] == ["trunk", "heads"]
    assert "BSD" in lpips.licence.name
    answering = {name: model for name, model in models.items() if model is not lpips}
    assert set(answering) == {"mae-vqgan-large-figures", "mae-vqgan-large-figures-imagenet"}
    for model in answering.values():
        assert "no licence" in model.licence.text
    assert all(m.files[0].url.startswith("https://") for m in models.values())
    result = vicl("--list")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in models)
    unknown = vicl("nothing")
    assert unknown.exit_code == 2
    assert "mae-vqgan-large-figures" in unknown.stderr


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../x"},
        {"name": "a/b"},
        {"name": ".hidden"},
        {"role": "script"},
        {"sha256": "12"},
        {"size": -1},
        {"run": "x"},
    ],
)
def test_lists_that_lie(
    server: Server, tmp_path: Path, cache: Path, change: dict[str, Any]
) -> None:
    result = vicl("tiny", "--index", listed(server, tmp_path, **change), "--accept-licence")
    assert result.exit_code == 1
    assert "is no list of published models" in result.stderr
    assert server.asked == []


@pytest.mark.slow
def test_models_and_doctor_show_what_is_here(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "mae-vqgan-large-figures"
    assert f"vicl download {name}" in CliRunner().invoke(main, ["models"]).stdout
    source = save(published(tiny_model()), tmp_path / "x.pth")
    convert(source, cache / "models" / name)
    digest = hashlib.sha256((cache / "models" / name / "model.safetensors").read_bytes())
    for command in ("models", "doctor"):
        result = CliRunner().invoke(main, [command])
        assert f"sha256 {digest.hexdigest()}" in result.stdout
    rows = [
        json.loads(r)
        for r in CliRunner().invoke(main, ["models", "--json"]).stdout.split("\n")
        if r
    ]
    assert {r["name"]: r.get("weights_hash") for r in rows}[name] == digest.hexdigest()
    assert read_published(source).config == tiny_config()
