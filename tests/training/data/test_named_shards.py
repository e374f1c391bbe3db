"""Targets named beforehand: what is stored, that pixels and codes agree, and what is refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from tests.pictures import picture
from tests.training.runs import TOKENIZER, recipe, tokenizer
from tests.training.shards import write_tar

from vicl.files import FileError
from vicl.images import ImageError, encode_image, to_pil
from vicl.images.tars import Group, file_groups
from vicl.models.vqgan import VQGAN
from vicl.storage.folder import weights_hash
from vicl.training.build import build_model, build_objective, check_codes
from vicl.training.data.named_shards import CODES, NamedBy, unpack_codes
from vicl.training.data.shards import read_groups
from vicl.training.data.tokenizing import Tokenized, tokenize
from vicl.training.data.training_data import open_data
from vicl.training.job import Seat
from vicl.training.objectives.inpainting import NamedInpainting
from vicl.training.recipe.data import Data, RecipeError
from vicl.training.train import train

SIZE = (32, 32)


def write_pictures(folder: Path, numbers: list[range]) -> str:
    """Shards of photograph-like pictures, one of which is broken, with captions."""
    for shard, inside in enumerate(numbers):
        members = {}
        for number in inside:
            image = encode_image(to_pil(picture(40, 36, seed=number)), ".png")
            members[f"{number:04}.png"] = image if number != 2 else b"no picture"
            members[f"{number:04}.json"] = json.dumps({"caption": number}).encode()
        write_tar(folder / f"s-{shard}.tar", members)
    return str(folder / f"s-{{0..{len(numbers) - 1}}}.tar")


def store(work: Path, urls: str, out: str = "named", **changes: Any) -> Tokenized:
    if not (work / "tokenizer").exists():
        tokenizer(work / "tokenizer")
    given: dict[str, Any] = {"crops": 3, "canvas_size": SIZE, "precision": "fp32", "device": "cpu"}
    return tokenize(urls, work / out, str(work / "tokenizer"), **(given | changes))


def groups(shard: Path) -> dict[str, dict[str, bytes]]:
    found = [g for g in read_groups(str(shard)) if isinstance(g, Group)]
    return {group.key: group.files for group in found}


def data_of(stored: Tokenized, **changes: Any) -> dict[str, Any]:
    return {"train": stored.source(), "workers": 0} | changes


def test_what_is_stored_beside_an_image(tmp_path: Path) -> None:
    urls = write_pictures(tmp_path, [range(3), range(3, 5)])
    stored = store(tmp_path, urls)
    assert stored.images == 4
    assert len(stored.left_out) == 1
    assert "s-0.tar: 0002.png" in stored.left_out[0]
    index = json.loads((tmp_path / "named" / "index.json").read_text())
    assert [shard["images"] for shard in index["shards"]] == [2, 2]
    assert index["images"] == 4

    before, after = groups(tmp_path / "s-0.tar"), groups(tmp_path / "named" / "s-0.tar")
    assert set(after) == {"0000", "0001"}
    for key, files in after.items():
        codes = files.pop(CODES)
        assert files == before[key]
        named, named_by = unpack_codes(codes, key)
        assert named.codes.dtype == np.uint8
        assert named.codes.shape == (3, 64)
        assert named_by.tokenizer == weights_hash(VQGAN(TOKENIZER, seed=3))
        assert len(set(named.crops)) == 3


def test_codes_follow_from_the_image_alone(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    apart = store(tmp_path, write_pictures(tmp_path, [range(3), range(3, 5)]))
    together = store(tmp_path, write_pictures(tmp_path / "b", [range(1, 5)]), "other")
    one = groups(tmp_path / "named" / "s-0.tar") | groups(tmp_path / "named" / "s-1.tar")
    other = groups(tmp_path / "other" / "s-0.tar")
    assert set(other) < set(one)
    assert all(files == one[key] for key, files in other.items())
    assert apart.images == together.images + 1
    # Another seed draws other crops.
    store(tmp_path, str(tmp_path / "b" / "s-0.tar"), "seed", seed=1)
    assert all(files != one[key] for key, files in groups(tmp_path / "seed" / "s-0.tar").items())


def test_a_run_goes_on_by_shard(tmp_path: Path) -> None:
    urls = write_pictures(tmp_path, [range(3), range(3, 5)])
    first = store(tmp_path, urls)
    shards = [tmp_path / "named" / f"s-{n}.tar" for n in (0, 1)]
    content = shards[1].read_bytes()
    shards[1].unlink()
    kept = shards[0].stat().st_mtime_ns
    counted: list[int] = []

    def total(count: int) -> Callable[[int], None]:
        counted.append(count)
        return counted.append

    again = store(tmp_path, urls, total=total)
    assert counted == [2, 1, 1]
    assert shards[0].stat().st_mtime_ns == kept
    assert shards[1].read_bytes() == content
    assert again.shards == first.shards
    with pytest.raises(FileError, match="other settings"):
        store(tmp_path, urls, crops=2)
    with pytest.raises(FileError, match="holds the shards themselves"):
        store(tmp_path, urls, ".")
    (tmp_path / "named" / "tokenize.json").unlink()
    with pytest.raises(FileError, match=r"s-0\.tar and no tokenize\.json"):
        store(tmp_path, urls)


def test_shards_of_other_sources_are_not_replaced(tmp_path: Path) -> None:
    """Of the same names, whether they lie elsewhere or were packed anew; nothing is written."""
    (tmp_path / "b").mkdir()
    store(tmp_path, write_pictures(tmp_path, [range(3), range(3, 5)]))
    others = write_pictures(tmp_path / "b", [range(3), range(10, 12)])
    named = tmp_path / "named"
    before = {path.name: path.read_bytes() for path in named.iterdir()}
    said = r"named/s-1\.tar: is made of another s-1\.tar than .*b/s-1\.tar is now; choose another"
    with pytest.raises(FileError, match=said):
        store(tmp_path, others)
    assert {path.name: path.read_bytes() for path in named.iterdir()} == before
    # The same bytes elsewhere are the same source; what was removed is named anew.
    (named / "s-1.tar").unlink()
    assert store(tmp_path, others).images == 4
    assert set(groups(named / "s-1.tar")) == {"0010", "0011"}


def test_pixels_and_codes_agree(tmp_path: Path) -> None:
    stored = store(tmp_path, write_pictures(tmp_path, [range(3), range(3, 5)]))
    data = open_data(Data.model_validate(data_of(stored)), SIZE, seed=0, patch_size=4)
    assert "codes named beforehand" in data.describe()[0]
    batches = data.batches(Seat(4))
    model = VQGAN(TOKENIZER, seed=3)
    seen = set()
    for _ in range(8):
        batch = next(batches)
        assert batch.codes is not None
        assert torch.equal(model.encode(batch.image.float() / 255).flatten(1), batch.codes)
        seen |= {tuple(codes.tolist()) for codes in batch.codes}
    assert 9 <= len(seen) <= 12  # the crops of four images


def test_training_names_no_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = store(tmp_path, write_pictures(tmp_path, [range(2)]))
    named = recipe(tmp_path, "mae-vqgan", data=data_of(stored))
    assert isinstance(build_objective(named, build_model(named)), NamedInpainting)

    def encode(*_: object, **__: object) -> None:
        pytest.fail("a target was named")

    with monkeypatch.context() as patch:
        patch.setattr(VQGAN, "encode", encode)
        train(named, tmp_path / "run", device="cpu")
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(row["loss"]) for row in rows if "loss" in row)


def test_codes_of_another_tokenizer_are_refused(tmp_path: Path) -> None:
    stored = store(tmp_path, write_pictures(tmp_path, [range(2)]))
    mine = VQGAN(TOKENIZER, seed=3)
    for section, said in (
        ({"target_precision": "bf16"}, "precision fp32, the recipe says bf16"),
        ({"data": data_of(stored, augmentation={"flip": False})}, "the recipe says .*false"),
    ):
        other = recipe(tmp_path, "mae-vqgan", **({"data": data_of(stored)} | section))
        with pytest.raises(RecipeError, match=said):
            check_codes(other, open_data(other.data, SIZE, seed=0), mine)
    changed = VQGAN(TOKENIZER, seed=4)
    changed.save_pretrained(tmp_path / "tokenizer", overwrite=True)
    hashes = f"{weights_hash(mine)}, the recipe says {weights_hash(changed)}"
    with pytest.raises(RecipeError, match=hashes):
        train(recipe(tmp_path, "mae-vqgan", data=data_of(stored)), tmp_path / "run", device="cpu")


def rewrite(shard: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Change all files of a shard, by their names."""
    files = {f"{k}.{end}": data for k, of in groups(shard).items() for end, data in of.items()}
    change(files)
    write_tar(shard, files)


def test_damaged_codes_of_the_first_image_are_reported(tmp_path: Path) -> None:
    """As any broken image is: another stands in, and the run goes on."""
    stored = store(tmp_path, write_pictures(tmp_path, [range(2)]))
    rewrite(tmp_path / "named" / "s-0.tar", lambda files: files.update({f"0000.{CODES}": b"no"}))
    data = open_data(Data.model_validate(data_of(stored)), SIZE, seed=0)
    batches = data.batches(Seat(2))
    broken = [fault for _ in range(2) for fault in next(batches).broken]
    assert len(broken) == 2  # once in each pass
    assert all(f"0000.{CODES}: is not what `vicl figures tokenize` writes" in one for one in broken)
    rewrite(tmp_path / "named" / "s-0.tar", lambda files: files.update({f"0001.{CODES}": b"no"}))
    with pytest.raises(RecipeError, match="no codes that can be read"):
        open_data(Data.model_validate(data_of(stored)), SIZE, seed=0)


def test_codes_of_another_tokenizer_further_on(tmp_path: Path) -> None:
    """Of a shard they are seen before a run begins; within one they end it, whatever they show."""
    stored = store(tmp_path, write_pictures(tmp_path, [range(2), range(3, 5)]))
    VQGAN(TOKENIZER, seed=4).save_pretrained(tmp_path / "tokenizer", overwrite=True)
    store(tmp_path, str(tmp_path / "s-1.tar"), "other")
    mine, other = tmp_path / "named" / "s-1.tar", groups(tmp_path / "other" / "s-1.tar")
    strange = {f"0004.{CODES}": other["0004"][CODES]}
    rewrite(mine, lambda files: files.update(strange))
    data = open_data(Data.model_validate(data_of(stored)), SIZE, seed=0)
    with pytest.raises(RecipeError, match=f"s-1.tar: 0004.{CODES}: its codes .* with tokenizer"):
        next(data.batches(Seat(4)))
    rewrite(mine, lambda files: files.pop(f"0003.{CODES}"))
    with pytest.raises(RecipeError, match=f"s-1.tar: 0004.{CODES}: its codes .* with tokenizer"):
        open_data(Data.model_validate(data_of(stored)), SIZE, seed=0)


def test_shards_without_codes_are_refused(tmp_path: Path) -> None:
    urls = write_pictures(tmp_path, [range(3)])
    plain = Data.model_validate({"train": {"kind": "shards", "urls": urls, "codes": True}})
    with pytest.raises(RecipeError, match="vicl figures tokenize"):
        open_data(plain, SIZE, seed=0)


def test_recipes_with_codes(tmp_path: Path) -> None:
    source = {"kind": "shards", "urls": "a.tar", "codes": True}
    for kind, data, said in (
        ("mae", {"train": source}, "a mae does not predict"),
        ("mae-vqgan", {"train": [source, "b.tar"]}, "others without"),
        ("mae-vqgan", {"train": source, "held_out": {"sources": source}}, "an evaluation takes"),
    ):
        with pytest.raises(RecipeError, match=said):
            recipe(tmp_path, kind, data=data)


NAMED_BY = NamedBy(
    tokenizer="0" * 64,
    codebook_size=16,
    patch_size=4,
    canvas_size=(8, 8),
    augmentation={},  # type: ignore[arg-type]
    precision="fp32",
)


@pytest.mark.parametrize(
    ("codes", "crops", "named_by"),
    [
        (np.full((1, 4), 16, np.uint8), np.ones((1, 5), np.int32), NAMED_BY.model_dump_json()),
        (np.zeros((1, 4), np.int8), np.ones((1, 5), np.int32), NAMED_BY.model_dump_json()),
        (np.zeros((2, 4), np.uint8), np.ones((1, 5), np.int32), NAMED_BY.model_dump_json()),
        (np.zeros((1, 4), np.uint8), np.zeros((1, 5), np.int32), NAMED_BY.model_dump_json()),
        (np.zeros((0, 4), np.uint8), np.ones((0, 5), np.int32), NAMED_BY.model_dump_json()),
        (np.zeros((1, 4), np.uint8), np.ones((1, 5), np.int32), "{}"),
    ],
)
def test_codes_of_a_stranger(codes: np.ndarray, crops: np.ndarray, named_by: str) -> None:
    with pytest.raises(ImageError, match="store the codes anew"):
        unpack_codes(save({"codes": codes, "crops": crops}, {"named_by": named_by}), "it")


def test_files_of_one_name_stand_together(tmp_path: Path) -> None:
    members = {"a.json": b"1", "a.png": b"2", "b/a.png": b"3", "b/a.jpg": b"4", "c.txt": b"5"}
    path = write_tar(tmp_path / "a.tar", members)
    found = list(file_groups(io.BytesIO(path.read_bytes()), "s"))
    assert [(g.key, len(g.files), g.shows) for g in found if isinstance(g, Group)] == [
        ("a", 2, True),
        ("b/a", 2, True),
        ("c", 1, False),
    ]
    first, second, _ = found
    assert isinstance(first, Group)
    assert first.image().name == "s: a.png"
    assert isinstance(second, Group)
    with pytest.raises(ImageError, match="has 2 images"):
        second.image()
