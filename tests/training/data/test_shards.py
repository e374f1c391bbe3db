"""Shards: what is an image, which lane reads it, and in what order."""

from __future__ import annotations

import itertools
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.training.shards import grey_of, image_bytes, write_shards, write_tar

from vicl.files import FileError
from vicl.images import ImageError
from vicl.images.tars import Member
from vicl.training.data.shards import Shards, read_shard
from vicl.training.data.sources import Lane
from vicl.training.data.streams import endless
from vicl.training.recipe.data import RecipeError, ShardSource


def names(shard: str) -> list[str]:
    return [m.name.rpartition(": ")[2] for m in read_shard(shard) if isinstance(m, Member)]


def greys(shards: Shards, lane: Lane, count: int, seed: int = 0) -> list[int]:
    items = itertools.islice(endless(shards, lane, seed), count)
    return [grey_of(shards.decode(item).image) for item in items]


def test_images_are_known_by_their_extension(tmp_path: Path) -> None:
    data = image_bytes(1, "JPEG")
    members = dict.fromkeys(
        ["a.jpg", "b.JPEG", "c/d.webp", "x.y/e.png", "f.mask.png", "g.txt", "jpg", "._a.jpg"], data
    )
    expected = ["a.jpg", "b.JPEG", "c/d.webp", "x.y/e.png"]
    assert names(str(write_tar(tmp_path / "a.tar", members))) == expected
    for name in ("a.tar.gz", "a.tgz"):
        assert names(str(write_tar(tmp_path / name, members, "w:gz"))) == expected
    # What WebDataset itself writes.
    import webdataset

    with webdataset.TarWriter(str(tmp_path / "w.tar")) as writer:
        writer.write({"__key__": "k", "jpg": data, "json": {"a": 1}})
    assert names(str(tmp_path / "w.tar")) == ["k.jpg"]


@pytest.mark.parametrize(("sizes", "lanes"), [([3, 3, 3], 1), ([3, 3, 3, 3], 2), ([5, 4], 4)])
def test_lanes_share_an_epoch_out(tmp_path: Path, sizes: list[int], lanes: int) -> None:
    shards = Shards(ShardSource(urls=write_shards(tmp_path, sizes)))
    assert len(shards.urls) == len(sizes)
    total = sum(sizes)
    seen = []
    for lane in range(lanes):
        count = len(range(lane, total, lanes)) if lanes > len(sizes) else total // lanes
        seen += greys(shards, Lane(lane, lanes), count)
    assert sorted(seen) == list(range(total))


def test_the_order_follows_from_the_seed_and_the_epoch(tmp_path: Path) -> None:
    shards = Shards(ShardSource(urls=write_shards(tmp_path, [10, 10]), samples=20))
    first, other = (greys(shards, Lane(0, 1), 60, seed) for seed in (0, 1))
    assert first == greys(shards, Lane(0, 1), 60, 0)
    epochs = [first[start : start + 20] for start in (0, 20, 40)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 3
    assert first != other
    # Shards in turn, images shuffled in the buffer: not simply in the order of the files.
    assert epochs[0][:10] != sorted(epochs[0][:10])
    assert shards.describe().endswith("s-{0..1}.tar: 2 shards, 20 images")


def test_a_full_buffer_hands_out_every_image_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = Shards(ShardSource(urls=write_shards(tmp_path, [40])))
    with monkeypatch.context() as patch:
        patch.setattr("vicl.training.data.shards._BUFFER", 5)
        found = greys(shards, Lane(0, 1), 40)
        # No image can come more than a buffer before its place.
        assert all(grey - place <= 5 for place, grey in enumerate(found))
        assert sorted(found) == list(range(40))
        assert found != sorted(found)
    with monkeypatch.context() as patch:  # of three small files' bytes
        patch.setattr("vicl.training.data.shards.MEMBER_LIMIT", 3 * len(image_bytes(0)) + 2)
        found = greys(shards, Lane(0, 1), 40)
        assert all(grey - place <= 3 for place, grey in enumerate(found))
        assert sorted(found) == list(range(40))


def test_shards_are_read_by_url(tmp_path: Path) -> None:
    write_shards(tmp_path, [3, 2])

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever).start()
    try:
        base = f"http://127.0.0.1:{server.server_port}"
        shards = Shards(ShardSource(urls=f"{base}/s-{{0..1}}.tar"))
        assert sorted(greys(shards, Lane(0, 1), 5)) == [0, 1, 2, 3, 4]
        (missing,) = read_shard(f"{base}/none.tar")
        assert isinstance(missing, ImageError)
        assert "none.tar" in str(missing)
    finally:
        server.shutdown()
        server.server_close()


def test_faults_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tar(tmp_path / "s-0.tar", {})
    with pytest.raises(FileError, match=r"s-1\.tar: no such file"):
        Shards(ShardSource(urls=str(tmp_path / "s-{0..1}.tar")))
    empty = Shards(ShardSource(urls=str(tmp_path / "s-0.tar")))
    with pytest.raises(ImageError, match=r"shards .*s-0\.tar: holds no images"):
        next(endless(empty, Lane(0, 1), 0))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "webdataset.shardlists", None)
        with pytest.raises(RecipeError, match=r'pip install "vicl\[train\]"'):
            Shards(ShardSource(urls="a.tar"))
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(RecipeError, match="program curl"):
            Shards(ShardSource(urls="https://localhost/a.tar"))
