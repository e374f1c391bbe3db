"""Published checkpoints become model folders with the same weights, or a list of what is wrong."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from tests.models.fabricated import (
    HEADS,
    YAML,
    lightning,
    published,
    save,
    state_dict,
    tiny_config,
    tiny_model,
)

from vicl.cli import main
from vicl.files import hash_file
from vicl.loading import load_folder, load_model, load_tokenizer
from vicl.models.mae_vqgan import PUBLISHED
from vicl.published.convert import TokenizerMissingError, convert, read_published
from vicl.published.keys import infer_config, published_key
from vicl.storage.checkpoints import CheckpointError
from vicl.storage.folder import KeysError, ModelError


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_the_published_file_with_its_vqgan_inside(tmp_path: Path, zipped: bool) -> None:
    model = tiny_model()
    source = save(published(model), tmp_path / "checkpoint-3399.pth", zipped=zipped)
    convert(source, tmp_path / "out", heads=HEADS, licence="CC BY-NC 4.0,\nas they wrote me")
    loaded = load_folder(tmp_path / "out")
    assert loaded.config == tiny_config()
    assert same(model, loaded)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "CC BY-NC 4.0, as they wrote me" in card
    assert hash_file(source) in card


def test_the_vqgan_beside_it(tmp_path: Path) -> None:
    model, other = tiny_model(), tiny_model(seed=1)
    source = save(published(model, inside=False), tmp_path / "model.pth")
    vqgan = save(lightning(other), tmp_path / "last.ckpt")
    (tmp_path / "model.yaml").write_text(YAML)
    convert(
        source,
        tmp_path / "out",
        vqgan=vqgan,
        vqgan_config=tmp_path / "model.yaml",
        heads=HEADS,
    )
    loaded = load_folder(tmp_path / "out")
    ours, theirs = model.state_dict(), other.state_dict()
    for name, value in loaded.state_dict().items():
        source_state = theirs if name.startswith("tokenizer.") else ours
        assert torch.equal(value, source_state[name]), name


@pytest.mark.slow
def test_safetensors_and_wrapped_models_and_bare_state_dicts(tmp_path: Path) -> None:
    model = tiny_model()
    state = state_dict(model)
    save_file(dict(state), tmp_path / "a.safetensors")
    save(state, tmp_path / "b.pth")
    save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "c.pth")
    save({"model": {k: v.half() for k, v in state.items()}}, tmp_path / "d.pth")
    for name in ("a.safetensors", "b.pth", "c.pth"):
        assert same(model, read_published(tmp_path / name, heads=HEADS)), name
    half = read_published(tmp_path / "d.pth", heads=HEADS)
    assert half.head.weight.dtype == torch.float32
    assert torch.equal(half.head.weight, model.head.weight.half().float())


def test_names_and_architecture_are_those_of_the_goldens(shared: Path) -> None:
    golden = json.loads((shared / "goldens" / "mae_vqgan_small.json").read_text())
    shapes = {k: tuple(v) for k, v in {**golden["shapes"], **golden["buffers"]}.items()}
    config = infer_config(shapes)
    tokenizer = config.tokenizer.model_copy(update={"base_width": 128})
    assert config.model_copy(update={"tokenizer": tokenizer}) == PUBLISHED["small"]
    with torch.device("meta"):
        model = tiny_model(config)
    ours = {published_key(name): list(value.shape) for name, value in model.state_dict().items()}
    assert ours == golden["shapes"]


def formula(key: str, shape: list[int], salt: str) -> torch.Tensor:
    """The goldens' weights, as their README says."""
    seed = zlib.crc32((salt + key).encode())
    x = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape, dtype=np.float32)
    if "norm" in key and key.endswith("weight"):
        x = 1 + np.float32(0.1) * x
    elif key.endswith("bias"):
        x = np.float32(0.02) * x
    elif not key.endswith("embedding.weight"):
        gain = 2 if "qkv" in key else 1
        x = x * np.float32(gain / np.sqrt(np.prod(shape[1:]))) if x.ndim >= 2 else x * 0.02
    return torch.from_numpy(x.astype(np.float32))


@pytest.mark.slow
def test_a_converted_file_gives_the_published_numbers(shared: Path, tmp_path: Path) -> None:
    golden = json.loads((shared / "goldens" / "mae_vqgan_small.json").read_text())
    arrays = np.load(shared / "goldens" / "mae_vqgan_small.npz")
    state = {k: formula(k, v, golden["salt"]) for k, v in golden["shapes"].items()}
    source = save({"model": state}, tmp_path / "checkpoint.pth")
    model: Any = load_model(source, device="cpu")
    hole = np.kron(arrays["mask"].reshape(14, 14), np.ones((16, 16), bool))
    canvas = torch.from_numpy(arrays["canvas"])[None]
    with torch.inference_mode():
        logits = model.token_logits(canvas, torch.from_numpy(hole)[None])[0]
    error = np.abs(logits.numpy()[arrays["mask"]] - arrays["logits_masked"]).max()
    assert error < 5e-5
    assert (logits.argmax(-1).numpy() == arrays["tokens"]).all()
    convert(source, tmp_path / "out")
    folder: Any = load_model(tmp_path / "out", device="cpu")
    assert folder.weights_hash == model.weights_hash
    assert (folder.name, model.name) == ("out", "checkpoint")


@pytest.mark.parametrize(
    ("change", "missing", "unexpected", "misshapen"),
    [
        (lambda s: s.pop("norm.bias"), ["norm.bias"], [], 0),
        (lambda s: s.update(surprise=torch.ones(2)), [], ["surprise"], 0),
        (lambda s: s.update({"norm.bias": torch.ones(3)}), [], [], 1),
        (lambda s: s.pop("vae.decoder.conv_out.bias"), ["vae.decoder.conv_out.bias"], [], 0),
        (lambda s: s.update({"vae.lossy.weight": torch.ones(1)}), [], ["vae.lossy.weight"], 0),
    ],
)
def test_differences_are_listed_exactly(
    tmp_path: Path, change: Any, missing: list[str], unexpected: list[str], misshapen: int
) -> None:
    state = state_dict(tiny_model())
    change(state)
    source = save({"model": state}, tmp_path / "x.pth")
    with pytest.raises(KeysError) as caught:
        convert(source, tmp_path / "out", heads=HEADS)
    assert caught.value.missing == missing
    assert caught.value.unexpected == unexpected
    assert len(caught.value.misshapen) == misshapen
    if misshapen:
        assert caught.value.misshapen == ["norm.bias: got (3,), expected (16,)"]
    assert not (tmp_path / "out").exists()


def test_a_long_list_is_whole_on_the_command_line(tmp_path: Path) -> None:
    state = state_dict(tiny_model())
    gone = [k for k in state if k.startswith("blocks.1.") or k.startswith("decoder_norm")]
    for key in gone[1:]:
        del state[key]
    source = save({"model": state}, tmp_path / "x.pth")
    arguments = ["convert", str(source), str(tmp_path / "out"), "--heads", "4", "2"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert all(f"  {key}\n" in result.stderr for key in gone[1:])
    assert f"Missing ({len(gone) - 1}):" in result.stderr


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"model": {}}, "holds no weights under 'model' or 'state_dict'; it has model"),
        ([1, 2], "holds no dict"),
        ({"model": {"patch_embed.proj.weight": torch.ones(2, 3)}}, "has no VQGAN inside"),
    ],
)
def test_files_of_other_things(tmp_path: Path, data: Any, message: str) -> None:
    with pytest.raises((ModelError, CheckpointError), match=message):
        convert(save(data, tmp_path / "x.pth"), tmp_path / "out")


@pytest.mark.slow
def test_wrong_architectures(tmp_path: Path) -> None:
    source = save(published(tiny_model()), tmp_path / "x.pth")
    with pytest.raises(ModelError, match=r"width of 16, which no published model has.*--heads"):
        convert(source, tmp_path / "out")
    state = state_dict(tiny_model())
    state["pos_embed"] = state["pos_embed"] + 0.01
    with pytest.raises(ModelError, match="pos_embed differs from the fixed"):
        convert(save({"model": state}, tmp_path / "y.pth"), tmp_path / "out", heads=HEADS)
    state = state_dict(tiny_model())
    state["pos_embed"] = torch.zeros(1, 64, 16)
    with pytest.raises(ModelError, match="expected a square number"):
        convert(save({"model": state}, tmp_path / "z.pth"), tmp_path / "out", heads=HEADS)
    state = state_dict(tiny_model())
    state["norm.bias"][3] = torch.nan
    with pytest.raises(ModelError, match=r"norm\.bias does not hold finite"):
        convert(save({"model": state}, tmp_path / "n.pth"), tmp_path / "out", heads=HEADS)
    # The published "huge" has patches of 14 px, which no code of the VQGAN stands for.
    state = state_dict(tiny_model())
    state["patch_embed.proj.weight"] = torch.zeros(16, 3, 7, 7)
    with pytest.raises(ModelError, match="a code of the tokenizer stands for"):
        convert(save({"model": state}, tmp_path / "h.pth"), tmp_path / "out", heads=HEADS)


def test_the_files_own_arguments_must_agree(tmp_path: Path) -> None:
    for number, said in enumerate(({"model": "mae_vit_large_patch16"}, {"input_size": 224})):
        source = save(published(tiny_model(), args=said), tmp_path / f"{number}.pth")
        with pytest.raises(ModelError, match="its arguments say"):
            convert(source, tmp_path / "out", heads=HEADS)


def test_vqgans_in_the_wrong_place(tmp_path: Path) -> None:
    model = tiny_model()
    whole = save(published(model), tmp_path / "whole.pth")
    without = save(published(model, inside=False), tmp_path / "without.pth")
    vqgan = save(lightning(model), tmp_path / "last.ckpt")
    with pytest.raises(TokenizerMissingError, match=r"--vqgan last\.ckpt"):
        load_model(without)
    with pytest.raises(ModelError, match="has its VQGAN inside"):
        convert(whole, tmp_path / "out", vqgan=vqgan, heads=HEADS)
    with pytest.raises(ModelError, match="is a VQGAN alone"):
        convert(vqgan, tmp_path / "out", heads=HEADS)
    with pytest.raises(ModelError, match="is a VQGAN alone"):
        convert(vqgan, tmp_path / "out", vqgan=vqgan)


@pytest.mark.slow
def test_a_vqgan_alone_becomes_a_tokenizer(tmp_path: Path) -> None:
    model = tiny_model()
    source = save(lightning(model), tmp_path / "last.ckpt")
    (tmp_path / "model.yaml").write_text(YAML)
    out = tmp_path / "codes"
    arguments = ["convert", str(source), str(out), "--vqgan-config", str(tmp_path / "model.yaml")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    assert f"vicl train RECIPE --set model.tokenizer={out}" in result.stderr
    assert same(model.tokenizer, load_tokenizer(out, device="cpu"))
    assert hash_file(source) in (out / "README.md").read_text()
    with pytest.raises(ModelError, match="is a tokenizer"):
        load_model(source, device="cpu")
    (tmp_path / "model.yaml").write_text(YAML.replace("ch: 32", "ch: 128"))
    with pytest.raises(ModelError, match="ch: got 128, expected 32"):
        convert(source, tmp_path / "x", vqgan_config=tmp_path / "model.yaml")
    data = lightning(model)
    del data["state_dict"]["decoder.conv_out.bias"]
    with pytest.raises(KeysError) as caught:
        convert(save(data, tmp_path / "part.ckpt"), tmp_path / "x")
    assert caught.value.missing == ["vae.decoder.conv_out.bias"]
    del data["state_dict"]["quantize.embedding.weight"]
    with pytest.raises(ModelError, match="is not a VQGAN as published"):
        convert(save(data, tmp_path / "less.ckpt"), tmp_path / "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (YAML.replace("ch: 32", "ch: 128"), "ch: got 128, expected 32"),
        (YAML.replace("[8]", "[16]"), r"attn_resolutions: got \[16\], expected \[8\]"),
        ("- 1", "is not a VQGAN's configuration"),
        ("model: {params: {a: &x [1], b: *x}}", "references"),
        ("model: !!python/object/apply:os.system ['touch ran']", "is not plain YAML"),
        ("model: [", "is not plain YAML"),
        ("[" * 5000, "is not plain YAML"),
    ],
)
def test_the_yaml_is_data_and_must_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source = save(published(tiny_model()), tmp_path / "x.pth")
    Path("model.yaml").write_text(text)
    with pytest.raises(ModelError, match=message):
        convert(source, "out", vqgan_config="model.yaml", heads=HEADS)
    assert not Path("ran").exists()


def test_the_command(tmp_path: Path) -> None:
    source = save(published(tiny_model()), tmp_path / "x.pth")
    out = tmp_path / "model"
    arguments = ["convert", str(source), str(out), "--heads", "4", "2", "--licence", "MIT"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{out}\n"
    assert sorted(p.name for p in out.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 1
    assert "is there already" in again.stderr
    assert CliRunner().invoke(main, [*arguments, "--overwrite"]).exit_code == 0
