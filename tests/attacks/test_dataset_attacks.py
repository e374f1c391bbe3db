"""Datasets and listings from a stranger: nothing outside their folder is read or expanded."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from tests.evaluation.datasets.trees import boundaries, photo, text, voc_xml

from vicl.evaluation.datasets import matlab, voc_detection
from vicl.evaluation.datasets.matlab import read_boundaries
from vicl.evaluation.datasets.reading import locate
from vicl.evaluation.episodes import DatasetError


def test_files_are_read_inside_the_folder_alone(tmp_path: Path) -> None:
    root = tmp_path / "data"
    photo(tmp_path, "secret.png", 0)
    photo(root, "real/a.png", 0)
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "folder").symlink_to(tmp_path)
    (root / "inside.png").symlink_to(root / "real" / "a.png")
    for name in ("link.png", "folder/secret.png", "../secret.png", str(tmp_path / "secret.png")):
        with pytest.raises(DatasetError, match="leads out of the dataset's folder"):
            locate(root, name)
    assert locate(root, "inside.png").is_file()


def test_entities_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "Annotations/a.xml"
    photo(tmp_path, "JPEGImages/a.jpg", 0)
    body = voc_xml([("dog", (1, 1, 2, 2))], (8, 10))
    levels = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
    bomb = f'<!DOCTYPE annotation [<!ENTITY e0 "lol">{levels}]>'
    outside = '<!DOCTYPE annotation [<!ENTITY e9 SYSTEM "file:///etc/hostname">]>'
    for prologue in (bomb, outside, "<!DOCTYPE annotation>"):
        content = '<?xml version="1.0"?>' + prologue + body.replace("dog", "&e9;")
        text(tmp_path, "Annotations/a.xml", content)
        with pytest.raises(DatasetError, match=r"a\.xml: defines a document type"):
            voc_detection(tmp_path)
        # An encoding in which the word is not to be seen.
        path.write_bytes(content.encode("utf-16"))
        with pytest.raises(DatasetError, match="cannot be read as UTF-8"):
            voc_detection(tmp_path)
        disguised = content.replace('"1.0"', '"1.0" encoding="utf-7"').replace("<!", "+ADwAIQ-")
        path.write_text(disguised)
        with pytest.raises(DatasetError, match="is not an annotation"):
            voc_detection(tmp_path)


def test_large_or_deep_annotations_are_refused(tmp_path: Path) -> None:
    photo(tmp_path, "JPEGImages/a.jpg", 0)
    body = voc_xml([("dog", (1, 1, 2, 2))], (8, 10))
    text(tmp_path, "Annotations/a.xml", body + " " * 2**20)
    with pytest.raises(DatasetError, match="has more than 1 MiB"):
        voc_detection(tmp_path)
    text(tmp_path, "Annotations/a.xml", "<a>" * 100_000 + "</a>" * 100_000)
    with pytest.raises(DatasetError, match="none of 1 annotations"):
        voc_detection(tmp_path)


def test_a_file_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matlab, "_LIMIT", 2**20)
    path = tmp_path / "a.mat"
    boundaries(path, [np.zeros((2048, 2048), dtype=np.uint8)])
    assert path.stat().st_size < 2**15
    with pytest.raises(DatasetError, match="holds more than 1 MiB"):
        read_boundaries(path)
    # Many elements, each under the limit: text of no matrix.
    header = path.read_bytes()[:128]
    body = zlib.compress(struct.pack("<II", 4, 2**19) + bytes(2**19))
    path.write_bytes(header + 4 * (struct.pack("<II", 15, len(body)) + body))
    with pytest.raises(DatasetError, match="holds more than 1 MiB"):
        read_boundaries(path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        # The cell array (1, 2) and each struct (1, 1) say that they have more; scipy would make
        # room for all of it at once.
        (struct.pack("<ii", 1, 2), struct.pack("<ii", 1, 10**9), "cell array or struct of"),
        (struct.pack("<ii", 1, 1), struct.pack("<ii", 2**31 - 1, 1), "cell array or struct of"),
        (struct.pack("<ii", 1, 1), struct.pack("<ii", -5, -1), "cell array or struct of"),
        # The matrix (3, 3) is an opaque object, or a cell array.
        (struct.pack("<I", 9), struct.pack("<I", 17), "a matrix of class 17"),
        (struct.pack("<I", 9), struct.pack("<I", 1), "cannot be read|is damaged"),
        # The place of the dimensions is at the end of the file.
        (struct.pack("<II", 5, 8), struct.pack("<II", 5, 2**31), "is damaged|cannot be read"),
    ],
)
def test_matrices_that_claim_more_than_they_have_are_refused(
    tmp_path: Path, old: bytes, new: bytes, match: str, packed: bool
) -> None:
    cells = np.empty((1, 2), dtype=object)
    cells[0, 0] = cells[0, 1] = {"Boundaries": np.eye(3, dtype=np.uint8)}
    out = io.BytesIO()
    savemat(out, {"groundTruth": cells})
    whole = out.getvalue()
    assert old in whole[128:]
    data = whole[128:].replace(old, new, 1)
    if packed:
        squeezed = zlib.compress(data)
        data = struct.pack("<II", 15, len(squeezed)) + squeezed
    path = tmp_path / "a.mat"
    path.write_bytes(whole[:128] + data)
    with pytest.raises(DatasetError, match=match):
        read_boundaries(path)


def test_many_or_nested_matrices_are_refused(tmp_path: Path) -> None:
    inner: np.ndarray = np.eye(2)
    for _ in range(400):
        outer = np.empty((1, 3), dtype=object)
        outer[0, 0], outer[0, 1], outer[0, 2] = inner, np.eye(1), np.eye(1)
        inner = outer
    path = tmp_path / "a.mat"
    savemat(path, {"groundTruth": inner})
    with pytest.raises(DatasetError, match="more than 1000 matrices"):
        read_boundaries(path)
