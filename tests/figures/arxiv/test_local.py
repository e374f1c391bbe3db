"""Harvests of what is on this machine already."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.figures.arxiv.serving import source

from vicl.cli.figures import figures
from vicl.figures.arxiv.harvest.harvesting import MISSING, Asked, Harvest, list_targets, take_local
from vicl.figures.arxiv.harvest.manners import Manners, Visitor
from vicl.figures.arxiv.papers import PAPERS, HarvestError, read_papers


def bulk(path: Path, members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        folder = tarfile.TarInfo("2209")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("2209/2209.00099.gz")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(packed.getvalue())
    return packed.getvalue()


def taken(out: Path, *local: Path, listed: Path | None = None) -> tuple[dict[str, str], list[str]]:
    warnings: list[str] = []
    with Harvest(out, Asked(local=local, listed=listed), most=1 << 20) as harvest:
        targets = list_targets(harvest, Visitor(Manners()))
        for _ in take_local(harvest, targets, warn=warnings.append):
            pass
    papers = read_papers(out / PAPERS).values()
    return {str(paper.id): paper.status for paper in papers}, warnings


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with plain sources, a bulk tar and other things."""
    folder = tmp_path / "place"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/2209.00001v1.tar.gz").write_bytes(source("one, first"))
    (folder / "deep/2209.00001v2.gz").write_bytes(source("one"))
    (folder / "cs0112017.gz").write_bytes(source("old"))
    (folder / "2209.00004v1.pdf").write_bytes(b"%PDF-1.5")
    (folder / "2209.00005.gz").write_bytes(source("cut")[:-20])
    (folder / "notes.txt").write_text("2209.00001")
    members = {
        "2209/2209.00007.gz": source("seven"),
        "2209/2209.00008.pdf": b"%PDF-1.5",
        "2209/readme": b"words",
        "../../2209.00009.gz": source("nine"),
        "2209/hep-th9901001.gz": source("theory"),
    }
    bulk(folder / "arXiv_src_2209_001.tar", members)
    return folder


def test_whatever_there_is(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    expected = {
        "2209.00001v1": "kept",
        "2209.00001v2": "kept",
        "cs/0112017": "kept",
        "2209.00004v1": "pdf-only",
        "2209.00005": "broken",
        "2209.00007": "kept",
        "2209.00008": "pdf-only",
        "2209.00009": "kept",
        "hep-th/9901001": "kept",
    }
    assert taken(out, place) == (expected, [])
    lines = (out / PAPERS).read_bytes()
    assert (out / "sources/2209/2209.00009.gz").read_bytes() == source("nine")
    assert (out / "sources/9901/hep-th9901001.gz").read_bytes() == source("theory")
    assert taken(out, place) == (expected, [])
    assert (out / PAPERS).read_bytes() == lines
    assert (place / "cs0112017.gz").read_bytes() == source("old")


def test_a_list_of_some(place: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("2209.00001\n2209.00007\n2209.00042\ncs/0112017v1\n")
    found, _ = taken(tmp_path / "out", place, listed=listed)
    assert found == {"2209.00001v2": "kept", "2209.00007": "kept"}
    assert (tmp_path / "out" / MISSING).read_text() == "2209.00042\ncs/0112017v1\n"
    later = tmp_path / "later"
    bulk(later / "arXiv_src_2209_002.tar", {"2209/2209.00042.gz": source("new")})
    found, _ = taken(tmp_path / "out", place, later, listed=listed)
    assert found["2209.00042"] == "kept"
    assert (tmp_path / "out" / MISSING).read_text() == "cs/0112017v1\n"


def test_single_files_and_the_harvest_itself(place: Path, tmp_path: Path) -> None:
    found, _ = taken(place / "out", place / "cs0112017.gz")
    assert found == {"cs/0112017": "kept"}
    with pytest.raises(HarvestError, match="no such file or folder"):
        taken(tmp_path / "a", place / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(HarvestError, match="no sources of papers; expected files such as"):
        taken(tmp_path / "b", tmp_path / "empty")
    inside, _ = taken(place / "all", place)
    again, _ = taken(place / "all", place)
    assert inside == again


@pytest.mark.parametrize("share", [0.1, 0.4, 0.6])
def test_a_bulk_tar_that_is_cut(tmp_path: Path, share: float) -> None:
    file = tmp_path / "place" / "arXiv_src_2209_001.tar"
    members = {f"2209/2209.0000{i}.gz": source(f"{i}") * 30 for i in range(8)}
    whole = bulk(file, members)
    file.write_bytes(whole[: int(len(whole) * share)])
    found, warnings = taken(tmp_path / "out", file.parent)
    assert len(warnings) == 1
    assert "is damaged, or cut short" in warnings[0]
    assert set(found.values()) <= {"kept"}
    assert len(found) < 8
    stored = list((tmp_path / "out/sources").rglob("*.gz"))
    assert {path.read_bytes() for path in stored} <= set(members.values())
    assert len(stored) == len(found)
    file.write_bytes(whole)
    found, warnings = taken(tmp_path / "out", file.parent)
    assert (len(found), set(found.values()), warnings) == (8, {"kept"}, [])


def test_the_command(place: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("2209.00001\n2209.00004\n2209.00042\n")
    line = ["harvest", str(tmp_path / "out"), "--local", str(place), "--list", str(listed)]
    result = CliRunner().invoke(figures, [*line, "--json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {
        **{"listed": 3, "left": 1, "changed": 0, "requests": 0, "retries": 0},
        "counts": {"kept": 1, "pdf-only": 1},
        "bytes": len(source("one")),
    }
