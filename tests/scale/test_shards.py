"""Shards are answered as the folders that they hold, whole or not at all."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from tests.cli.test_cli import COPY, vicl
from tests.training.shards import image_bytes, write_tar

from vicl.exports.record import RECORD
from vicl.scale.shards import NOTE


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}


def files(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != RECORD
    }


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(("--overlay", "--canvas"), marks=pytest.mark.slow),
        pytest.param(("--format", "labelme"), marks=pytest.mark.slow),
        pytest.param(("--format", "coco"), marks=pytest.mark.slow),
        ("--format", "yolo"),
        pytest.param(("--classes", "thing=1"), marks=pytest.mark.slow),
    ],
)
def test_a_shard_is_answered_as_its_folder(work: Path, more: tuple[str, ...]) -> None:
    done = vicl(*COPY, *more, "s-*.tar", "-o", "out/")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "out/s-0.tar\nout/s-1.tar\n"
    assert "6 answered in 2 shards" in done.stderr
    for number in (0, 1):
        # Where it says where the image is, an unpacked shard stands beside the answers.
        assert vicl(*COPY, *more, f"s-{number}", "-o", f"answers-{number}/").exit_code == 0
        expected = files(Path(f"answers-{number}"))
        found = members(Path(f"out/s-{number}.tar"))
        assert next(iter(found)) == NOTE
        note = json.loads(found.pop(NOTE))
        assert (note["answered"], note["failed"]) == (3, {})
        beside = {name for name in expected if Path("out", name).exists()}
        assert found == {name: data for name, data in expected.items() if name not in beside}
        assert all(Path("out", name).read_bytes() == expected[name] for name in beside)
        assert beside or "yolo" not in more


def test_what_is_wrong_with_one_image_is_told_and_the_others_are_answered(work: Path) -> None:
    shard = {"a.png": image_bytes(1), "b.png": b"broken", "sub/c.png": image_bytes(3)}
    write_tar(work / "s.tar", shard)
    with tarfile.open("s.tar", "a") as tar:
        tar.add(work / "in.png", "a.png")
    done = vicl(*COPY, "s.tar", "-o", "out", "--json")
    assert done.exit_code == 1
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    good = [(row["query"], row["output"]) for row in rows if "error" not in row]
    assert good == [("a.png", "a.png"), ("sub/c.png", "sub/c.png")]
    wrong = {row["query"]: row["error"] for row in rows if "error" in row}
    assert sorted(wrong) == ["a.png", "b.png"]
    assert wrong["a.png"] == "s.tar: a.png: stands twice in the shard; the first is answered"
    assert wrong["b.png"].startswith("s.tar: b.png: is not an image")
    found = members(Path("out/s.tar"))
    assert sorted(found) == [NOTE, "a.png", "sub/c.png"]
    assert json.loads(found[NOTE])["failed"] == wrong


def test_a_run_goes_on_by_shard_and_mixes_nothing(work: Path) -> None:
    assert vicl(*COPY, "s-0.tar", "-o", "out").exit_code == 0
    first = Path("out/s-0.tar")
    before = first.stat().st_mtime_ns
    refused = vicl(*COPY, "s-*.tar", "-o", "out")
    assert refused.exit_code == 2
    assert "1 of 2 outputs exist already" in refused.stderr
    resumed = vicl(*COPY, "s-*.tar", "-o", "out", "--skip-existing")
    assert resumed.exit_code == 0, resumed.stderr
    assert "3 answered in 1 shards, 1 shards skipped" in resumed.stderr
    assert first.stat().st_mtime_ns == before
    other = vicl(*COPY, "s-0.tar", "-o", "out", "--skip-existing", "--seed", "3")
    assert other.exit_code == 2
    assert "made with other settings" in other.stderr
    write_tar(work / "s-0.tar", {"new.png": image_bytes(5)})
    changed = vicl(*COPY, "s-0.tar", "-o", "out", "--skip-existing")
    assert changed.exit_code == 2
    assert "another shard of this name" in changed.stderr
    first.write_bytes(b"by hand")
    assert "no shard of answers" in vicl(*COPY, "s-0.tar", "-o", "out", "--skip-existing").stderr
    assert first.read_bytes() == b"by hand"
    assert vicl(*COPY, "s-0.tar", "-o", "out", "--overwrite").exit_code == 0
    assert sorted(members(first)) == [NOTE, "new.png"]


@pytest.mark.parametrize("kept", [700, 1100])
def test_a_shard_that_is_cut_short_has_no_answers(work: Path, kept: int) -> None:
    whole = Path("s-0.tar").read_bytes()
    Path("s-0.tar").write_bytes(whole[:kept])
    done = vicl(*COPY, "s-0.tar", "s-1.tar", "-o", "out")
    assert done.exit_code == 1
    assert "s-0.tar: cannot be read to its end" in done.stderr
    assert [path.name for path in Path("out").iterdir()] == ["s-1.tar"]


def test_options_that_do_not_suit_shards_are_refused(work: Path) -> None:
    for arguments, said in (
        (("s-0.tar", "in.png", "-o", "out"), "answered apart"),
        (("s-0.tar", "--json"), "give --output FOLDER"),
        (("s-0.tar", "-o", "out", "--contact-sheet", "sheet.png"), "not with shards"),
        (("s-0.tar", "-o", "out", "--ray-address", "auto"), "--engine ray"),
        (("s-0.tar", "-o", "."), "one of the inputs"),
        (("no-*.tar", "-o", "out"), "holds no shards"),
        (("in.png", "-o", "s3://bucket/out"), "only answers to shards"),
    ):
        done = vicl(*COPY, *arguments)
        assert done.exit_code == 2
        assert said in done.stderr
    assert not Path("out").exists()


def test_shards_at_addresses(work: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    assert vicl(*COPY, "s-*.tar", "-o", "here").exit_code == 0
    memory = fsspec.filesystem("memory")
    try:
        for number in (0, 1):
            memory.pipe_file(f"/b/s-{number}.tar", Path(f"s-{number}.tar").read_bytes())
        done = vicl(*COPY, "memory://b/", "-o", "memory://out/")
        assert done.exit_code == 0, done.stderr
        again = vicl(*COPY, "memory://b/s-*.tar", "-o", "memory://out/", "--skip-existing")
        assert "2 shards skipped" in again.stderr
        for number in (0, 1):
            found = memory.cat_file(f"/out/s-{number}.tar")
            assert found == Path(f"here/s-{number}.tar").read_bytes()
        missing = vicl(*COPY, "memory://b/no.tar", "-o", "there")
        assert missing.exit_code == 1
        assert "no such object" in missing.stderr
    finally:
        memory.store.clear()
    files = vicl(*COPY, f"file://{work}/s-0.tar", "-o", f"file://{work}/there")
    assert files.exit_code == 0, files.stderr
    assert Path("there/s-0.tar").read_bytes() == Path("here/s-0.tar").read_bytes()
