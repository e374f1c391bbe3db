"""The index: what is encoded again, what is kept, and what is refused."""

from __future__ import annotations

import fcntl
import logging
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.selection.encoders import COLOURS, Mean, labelled, mask, plain
from torch import Tensor

from vicl.engine import Features
from vicl.files import TEMPORARY_PREFIX
from vicl.selection.index import encode_pool
from vicl.selection.index_folder import Changes, index_folder, index_pool, made_by
from vicl.selection.pool import PoolError, open_pool


def files(folder: Path) -> list[str]:
    return sorted(file.suffix for file in folder.iterdir())


def test_rows_are_unit_length_and_of_their_images(tmp_path: Path) -> None:
    pool = open_pool(labelled(tmp_path / "p"))
    encoder = Mean()
    index, changes = index_pool(pool, encoder, tmp_path / "p.index")
    assert changes == Changes(new=5)
    assert torch.allclose(index.features.norm(dim=1), torch.ones(5))
    assert torch.equal(index.features, encode_pool(pool, encoder).features)
    scores = index.scores(tmp_path / "p/images/red.png")
    assert [e.file.stem for e in index.pool.entries][int(scores.argmax())] == "red"
    assert float(scores.max()) == pytest.approx(1)
    assert made_by(tmp_path / "p.index") == ("mean", "whole")
    assert made_by(tmp_path / "q.index") is None
    assert index_folder(tmp_path / "p") == tmp_path / "p.index"


def test_only_what_changed_is_encoded_again(tmp_path: Path) -> None:
    root, place = labelled(tmp_path / "p"), tmp_path / "p.index"
    index_pool(open_pool(root), Mean(), place)
    encoder = Mean()
    assert index_pool(open_pool(root), encoder, place)[1] == Changes(kept=5)
    assert encoder.seen == []
    plain(root / "images/red.png", (1, 2, 250))
    plain(root / "images/new.png", (90, 90, 250))
    (root / "images/lime.png").unlink()
    os.utime(root / "images/blue.png", (1, 1))  # the same bytes at another time
    index, changes = index_pool(open_pool(root), encoder, place)
    assert changes == Changes(kept=3, new=1, changed=1, gone=1)
    assert sum(encoder.seen) == 2
    assert torch.equal(
        index.features[[e.file.stem for e in index.pool.entries].index("red")],
        index.encode(root / "images/red.png"),
    )
    assert files(place) == [".json", ".npy"]
    assert index_pool(open_pool(root), encoder, place)[1] == Changes(kept=5)


def test_another_encoder_encodes_all_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pool, place = open_pool(labelled(tmp_path / "p")), tmp_path / "p.index"
    index_pool(pool, Mean(), place)
    with caplog.at_level(logging.WARNING, logger="vicl"):
        _, changes = index_pool(pool, Mean(weights_hash="1" * 64), place)
    assert changes == Changes(new=5)
    assert "is of another encoder" in caplog.text
    index, changes = index_pool(pool, Mean(weights_hash="1" * 64), place, looking="places")
    assert changes == Changes(new=5)
    assert index.features.shape == (5, 12)


def test_an_index_and_its_pool_may_move_together(tmp_path: Path) -> None:
    labelled(tmp_path / "a/p")
    index_pool(open_pool(tmp_path / "a/p"), Mean(), tmp_path / "a/p.index")
    (tmp_path / "a").rename(tmp_path / "b")
    _, changes = index_pool(open_pool(tmp_path / "b/p"), Mean(), tmp_path / "b/p.index")
    assert changes == Changes(kept=5)


def test_what_masks_show_is_noted_and_noted_anew(tmp_path: Path) -> None:
    root, place = labelled(tmp_path / "p"), tmp_path / "p.index"
    index, _ = index_pool(open_pool(root), Mean(), place)
    assert {entry.noted for entry in index.pool.entries} == {frozenset({255})}
    mask(root / "masks/red.png", 3)
    (features,) = place.glob("*.npy")
    index, changes = index_pool(open_pool(root), Mean(), place)
    assert changes == Changes(kept=5)
    assert [e.file.stem for e in index.only(index.pool.showing("a=3")).pool.entries] == ["red"]
    assert features.exists()


def test_a_part_has_its_own_rows(tmp_path: Path) -> None:
    index = encode_pool(open_pool(labelled(tmp_path)), Mean())
    some = index.only(open_pool([(tmp_path / "images/lime.png", tmp_path / "masks/lime.png")]))
    assert torch.equal(some.features[0], index.encode(tmp_path / "images/lime.png"))
    with pytest.raises(PoolError, match="none of its images is in the index"):
        index.only(open_pool([("elsewhere.png", "mask.png")]))


def test_an_image_may_be_listed_with_several_annotations(tmp_path: Path) -> None:
    root, place = labelled(tmp_path / "p"), tmp_path / "p.index"
    mask(root / "masks/other.png", 2)
    image = root / "images/red.png"
    pairs = [(image, root / "masks/red.png"), (image, root / "masks/other.png")]
    index, changes = index_pool(open_pool(pairs), Mean(), place)
    assert changes == Changes(new=1)
    assert [entry.shows for entry in index.pool.entries] == [frozenset({255}), frozenset({2})]
    assert torch.equal(index.features[0], index.features[1])


def test_a_broken_image_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, place = labelled(tmp_path / "p"), tmp_path / "p.index"
    (root / "images/red.png").write_bytes(b"broken")
    with caplog.at_level(logging.WARNING, logger="vicl"):
        index, changes = index_pool(open_pool(root), Mean(), place)
    assert changes == Changes(new=5, broken=1)
    assert len(index.pool) == len(index.features) == 4
    assert "red.png" in caplog.text
    for name in COLOURS:
        (root / f"images/{name}.png").write_bytes(b"broken")
    with pytest.raises(PoolError, match="none of its 5 images can be read"):
        index_pool(open_pool(root), Mean(), place)


def test_a_name_that_is_not_utf_8_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, place = labelled(tmp_path / "p"), tmp_path / "p.index"
    odd = plain(root / "images/odd.png", (9, 9, 9))
    try:
        odd.rename(root / "images" / os.fsdecode(b"odd\xff.png"))
    except OSError:
        pytest.skip("the file system takes no such names")
    for changes in (Changes(new=5, broken=1), Changes(kept=5, broken=1)):
        index, found = index_pool(open_pool(root), Mean(), place)
        assert found == changes
        assert len(index.pool) == 5
    assert "is not UTF-8" in caplog.text


def test_a_part_of_a_pool_of_values_has_its_own_rows() -> None:
    pairs = [(torch.full((3, 24, 24), x), np.ones((24, 24), bool)) for x in (0.2, 0.5, 0.9)]
    dark = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1]]).float()
    index = replace(encode_pool(open_pool(pairs), Mean()), features=dark)
    some = index.only(replace(index.pool, entries=index.pool.entries[1:2]))
    assert some.features.tolist() == [[0, 1, 0]]


class Stops(Mean):
    def encode(self, image: Tensor) -> Features:
        if self.seen:
            raise KeyboardInterrupt
        return super().encode(image)


def test_what_was_encoded_before_ctrl_c_is_kept(tmp_path: Path) -> None:
    for number in range(20):
        plain(tmp_path / f"p/{number:02}.png", (number, 100, 100))
    with pytest.raises(KeyboardInterrupt):
        index_pool(open_pool(tmp_path / "p"), Stops(), tmp_path / "p.index")
    encoder = Mean()
    index, changes = index_pool(open_pool(tmp_path / "p"), encoder, tmp_path / "p.index")
    assert changes == Changes(kept=16, new=4)
    assert len(index.features) == 20


class Fails(Mean):
    def encode(self, image: Tensor) -> Features:
        raise KeyboardInterrupt


def test_a_first_run_that_encoded_nothing_leaves_nothing(tmp_path: Path) -> None:
    pool, place = open_pool(labelled(tmp_path / "p")), tmp_path / "p.index"
    with pytest.raises(KeyboardInterrupt):
        index_pool(pool, Fails(), place)
    assert files(place) == []
    (place / f"features-{'0' * 16}.npy").write_bytes(b"of a run that was killed")
    (place / f"{TEMPORARY_PREFIX}{'0' * 16}.tmp").touch()
    assert index_pool(pool, Mean(), place)[1] == Changes(new=5)


def test_another_encoder_that_encodes_nothing_leaves_the_index(tmp_path: Path) -> None:
    pool, place = open_pool(labelled(tmp_path / "p")), tmp_path / "p.index"
    index_pool(pool, Mean(), place)
    with pytest.raises(KeyboardInterrupt):
        index_pool(pool, Fails(name="other"), place)
    assert index_pool(pool, Mean(), place)[1] == Changes(kept=5)


def test_two_that_index_at_once_wait_for_one_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pool, place = open_pool(labelled(tmp_path / "p")), tmp_path / "p.index"
    place.mkdir()
    handle = os.open(place, os.O_RDONLY)  # as another process has it
    fcntl.flock(handle, fcntl.LOCK_EX)
    with ThreadPoolExecutor(1) as executor:
        try:
            waiting = executor.submit(index_pool, pool, Mean(), place)
            with pytest.raises(TimeoutError):
                waiting.result(0.5)
            assert files(place) == []
        finally:
            os.close(handle)
        assert waiting.result(30)[1] == Changes(new=5)
    assert "another process indexes it" in caplog.text


def test_a_broken_index_is_refused(tmp_path: Path) -> None:
    pool, place = open_pool(labelled(tmp_path / "p")), tmp_path / "p.index"
    index_pool(pool, Mean(), place)
    manifest = (place / "index.json").read_text()
    rows = next(place.glob("*.npy"))
    whole = rows.read_bytes()
    for broken in (whole[:-5], whole[:40], b"", pickle.dumps([1, 2])):
        rows.write_bytes(broken)
        with pytest.raises(PoolError, match="index the pool anew"):
            index_pool(pool, Mean(), place)
    np.save(rows, np.zeros((5, 3), object), allow_pickle=True)
    with pytest.raises(PoolError, match="index the pool anew"):
        index_pool(pool, Mean(), place)
    with rows.open("wb") as stream:
        np.savez(stream, np.zeros((5, 3), np.float32))
    with pytest.raises(PoolError, match=r"is no array of NumPy; .* index the pool anew"):
        index_pool(pool, Mean(), place)
    rows.write_bytes(whole)
    outside = manifest.replace(rows.name, "../../etc/passwd")
    for text in ("{", "[]", outside, manifest.replace('"channels":3', '"channels":4')):
        (place / "index.json").write_text(text)
        with pytest.raises(PoolError, match=r"index\.json|features-"):
            index_pool(pool, Mean(), place)


def test_a_folder_that_is_no_index_is_left_alone(tmp_path: Path) -> None:
    pool = open_pool(labelled(tmp_path / "p"))
    with pytest.raises(PoolError, match="is there and no index"):
        index_pool(pool, Mean(), tmp_path / "p")
