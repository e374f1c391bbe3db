"""Hostile shards that are answered: nothing outside is touched, each fault is one sentence."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image
from tests.cli.test_cli import COPY, vicl
from tests.prompting.test_prompter import scene
from tests.scale.test_shards import members
from tests.training.shards import image_bytes

from vicl.images import save_image, to_pil
from vicl.scale.shards import NOTE

GOOD = image_bytes(7)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an example."""
    monkeypatch.chdir(tmp_path)
    image, mask = scene(90)
    save_image(to_pil(image), "in.png")
    Image.fromarray(mask).save("out.png")
    return tmp_path


def add(tar: tarfile.TarFile, name: str, data: bytes = GOOD) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def test_names_that_reach_out_links_and_clashes(work: Path) -> None:
    names = ["../up.png", f"{work}/abs.png", "a/../../up.png", "n\x1b[2J.png", "good.png/in.png"]
    with tarfile.open("s.tar", "w") as tar:
        add(tar, "good.png")
        for name in (*names, "x" * 300 + ".png", "./good.png"):
            add(tar, name)
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo(f"link-{kind.decode()}.png")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    before = sorted(work.rglob("*"))
    done = vicl(*COPY, "s.tar", "-o", "out")
    assert done.exit_code == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: s.tar: ")]
    assert len(errors) == len(names) + 2 + 4
    assert all(line.isprintable() for line in errors)
    assert sum("is a link or device" in line for line in errors) == 4
    assert sorted(members(Path("out/s.tar"))) == [NOTE, "good.png"]
    assert sorted(set(work.rglob("*")) - set(before)) == [work / "out", work / "out/s.tar"]


@pytest.mark.parametrize("kind", ["size", "header", "sparse", "empty", "text"])
def test_what_is_no_whole_tar_has_no_answers(work: Path, kind: str) -> None:
    info = tarfile.TarInfo("a.png")
    info.size = len(GOOD)
    if kind == "size":
        info.size = 1 << 40
    elif kind == "header":
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 34
    elif kind == "sparse":
        info.type = tarfile.GNUTYPE_SPARSE
    data = {"empty": b"", "text": b"words" * 400}.get(kind, info.tobuf(tarfile.GNU_FORMAT) + GOOD)
    Path("s.tar").write_bytes(data)
    done = vicl(*COPY, "s.tar", "-o", "out")
    assert done.exit_code == 1
    assert "s.tar: " in done.stderr
    assert done.stderr.count("error:") in (1, 2)
    assert not Path("out").exists()
