"""Checkpoints from a stranger that are too large, too deep, broken, or none."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.attacks.crafted import FOUR, legacy, long, packed, tensor, text

from vicl.loading import load_folder, load_model
from vicl.storage.checkpoints import CheckpointError, open_checkpoint

BOMBS: dict[str, bytes] = {
    "bytes of 2^62": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.",
    "bytes of 2^31": b"\x80\x03B" + struct.pack("<I", (1 << 32) - 1) + b"x.",
    "a string of 2^62": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"x.",
    "a byte array of 2^62": b"\x80\x05\x96" + struct.pack("<Q", 1 << 62) + b"x.",
    "a number of 2^31 bytes": b"\x80\x02\x8b" + struct.pack("<i", (1 << 31) - 1) + b"x.",
    "a number of -1 bytes": b"\x80\x02\x8b" + struct.pack("<i", -1) + b"x.",
    "a frame of 2^62": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N",
    "a decimal of a million digits": b"L" + b"9" * 1_000_000 + b"L\n.",
    "a line without an end": b"c" + b"a" * 1_000_000,
    "a stack of 3 million": b"N" * 3_000_000 + b".",
    "3 million lists": b"]" * 3_000_000 + b".",
    "3 million marks": b"(" * 3_000_000 + b".",
    "one list behind many dicts": b"ccollections\nOrderedDict\n]("
    + b"K\x01K\x02\x86" * 2000
    + b"e\x85q\x010"
    + b"ccollections\nOrderedDict\nh\x01R0" * 2000
    + b"N.",
    "a long name, again and again": b"\x80\x04"
    + text("m" * 100_000)
    + b"q\x000"
    + b"h\x00h\x00\x930" * 1000
    + b"N.",
    "an out-of-band buffer": b"\x80\x05\x97.",
    "protocol 9": b"\x80\x09N.",
    "nothing on the stack": b".",
    "no mark": b"t.",
    "an unknown memo": b"h\x07.",
    "a key without a value": b"}(K\x01u.",
    "no opcode": b"\xff.",
    "cut short": b"}",
    "invalid UTF-8": b"X\x02\0\0\0\xff\xfe.",
    "a number that is none": b"Iabc\n.",
    "a string with escapes": b"S'\\q'\n.",
}


@pytest.mark.parametrize("case", BOMBS)
def test_programs_that_are_too_large_or_broken(tmp_path: Path, case: str) -> None:
    path = tmp_path / "bad.pth"
    for data in (packed(BOMBS[case]), legacy(BOMBS[case])):
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=r"bad\.pth"):
            open_checkpoint(path)


HARMLESS: dict[str, bytes] = {
    "a memo at 2^32 - 1": b"]r\xff\xff\xff\xff.",
    "a memo at a huge number": b"]p99999999999999\n.",
    "a billion laughs": b"]q\x00"
    + b"(h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00lq\x00" * 200
    + b".",
    "a tuple as a key, nested 200 deep": b"}(" + b"K\x01" + b"q\x00h\x00\x86" * 200 + b"Nu.",
    "lists nested 4,000 deep": b"]" * 4_000 + b"a" * 3_999 + b".",
    "tuples nested 10,000 deep": b")" + b"\x85" * 10_000 + b".",
    "dicts nested 4,000 deep": b"}K\x01" * 4_000 + b"N" + b"s" * 4_000 + b".",
    "objects nested 4,000 deep": b"ca\nb\n)R" * 4_000 + b"b" * 3_999 + b".",
    "a list in itself": b"]q\x00h\x00a.",
    "keys with one hash": b"}("
    + b"".join(long(k * (2**61 - 1)) + b"N" for k in range(1, 9_000))
    + b"u.",
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_would_stop_others(tmp_path: Path, case: str) -> None:
    path = tmp_path / "odd.pth"
    path.write_bytes(packed(HARMLESS[case]))
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.data is not None
    with pytest.raises(CheckpointError, match=r"odd\.pth"):
        load_model(path)


def broken_zips() -> dict[str, bytes]:
    good = packed(b"\x80\x02}" + text("w") + tensor(b"K\x04\x85", b"K\x01\x85") + b"s.", FOUR)
    doubled = io.BytesIO(good)
    with zipfile.ZipFile(doubled, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("archive/data/0", b"\1" * 16)
    two = io.BytesIO(good)
    with zipfile.ZipFile(two, "a") as archive:
        archive.writestr("other/data.pkl", b"N.")
    end = good.rfind(b"PK\5\6")
    wide = bytearray(good)
    wide[end + 12 : end + 16] = struct.pack("<I", 0xFFFFFFF0)
    link = io.BytesIO()
    with zipfile.ZipFile(link, "w") as archive:
        info = zipfile.ZipInfo("archive/data.pkl")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return {
        "a compressed part": packed(b"N.", {"archive/data/0": b"\0" * (1 << 20)}, compression=8),
        "an entry twice": doubled.getvalue(),
        "two pickles": two.getvalue(),
        "no pickle": packed(b"N.").replace(b"data.pkl", b"data.txt"),
        "a directory of 4 GB": bytes(wide),
        "a symbolic link": link.getvalue(),
        "its end missing": good[:-30],
        "its start missing": good[100:],
        "half of it": good[: len(good) // 2],
        "one byte of the numbers changed": good.replace(FOUR["archive/data/0"][4:8], b"\1\1\1\1"),
        "one byte of the pickle changed": good.replace(text("w"), text("v")),
        "a pickle outside": packed(b"N.").replace(b"archive/data.pkl", b"../../ve/data.pkl"),
        "big-endian": packed(b"N.").replace(b"little", b"bigbig"),
    }


def read_all(path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        checkpoint.load(checkpoint.data)


def test_broken_zips(tmp_path: Path) -> None:
    path = tmp_path / "bad.pth"
    for data in broken_zips().values():
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=r"bad\.pth"):
            read_all(path)


def test_a_compressed_pickle_is_refused_before_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "bad.pth"
    path.write_bytes(packed(b"N" * (1 << 26) + b".", compression=zipfile.ZIP_DEFLATED))
    assert path.stat().st_size < 1 << 17
    with pytest.raises(CheckpointError, match="compressed part"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"PK\3\4",
        b"PK",
        b"\x80",
        b"\x80\x02N.",
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 1000) + b"[" * 1000,
        struct.pack("<Q", 40) + b'{"a":1,"b":[],"c":{"dtype":[]},"d":null}',
        struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}     ',
        b"\x93NUMPY\x01\0v\0{'descr'",
    ],
)
def test_files_of_other_kinds(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.pth"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"bad\.pth"):
        load_model(path)


MEASURE = """
import sys
from vicl.storage import pickles
from vicl.storage.checkpoints import open_checkpoint
pickles.STEP_LIMIT //= 4  # a quarter of the time, and of the memory
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
before = peak()
for path in sys.argv[1:]:
    try:
        open_checkpoint(path)
    except ValueError:
        pass
    print(peak() - before)
    before = peak()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_memory_stays_bounded(tmp_path: Path) -> None:
    paths = []
    for number, data in enumerate([*BOMBS.values(), *HARMLESS.values()]):
        paths.append(tmp_path / f"{number}.pth")
        paths[-1].write_bytes(packed(data))
    source = str(Path(__file__).resolve().parents[2] / "src")
    output = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, paths)],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    growth = dict(zip([*BOMBS, *HARMLESS], map(int, output.stdout.split()), strict=True))
    assert {case: kilobytes for case, kilobytes in growth.items() if kilobytes > 100_000} == {}


GOOD_CONFIG: dict[str, Any] = {"format": 2, "model": "mae-vqgan", "architecture": {}}


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        (b"", "is an empty file"),
        (b"[" * 100_000, "too many sections inside"),
        (b" " * (2 << 20), "larger than 1 MiB"),
        (b"null", "is no valid configuration"),
        ({"model": "os:system"}, "got the model 'os:system', expected mae-vqgan"),
        ({"model": "../../etc"}, "got the model '../../etc', expected mae-vqgan"),
        ({"format": 99}, "made by a newer vicl"),
        ({"code": "x"}, "code: is no key"),
        ({"asking": {"spins": 10**9}}, "spins: got 1000000000, expected at most"),
        ({"asking": ["os:system"]}, "asking: got .*expected a section of keys"),
        ({"format": 1, "asking": {"spins": 2}}, "asking: got one, which format 1 has not"),
        ({"architecture": {"depth": 10**9}}, "expected at most"),
        ({"architecture": {"canvas_size": [1 << 40] * 2}}, "expected at most"),
        ({"architecture": {"canvas_size": [1 << 16] * 2}}, "too large a model"),
        ({"architecture": {"embed_dim": 1 << 40}}, "expected at most"),
        ({"architecture": {"mlp_ratio": 1e308}}, "fits no model"),
        (
            {"architecture": {"mlp_ratio": float("inf")}},
            "mlp_ratio: got inf, expected a finite",
        ),
        ({"architecture": {"target": "os.system"}}, "target: is no key"),
        ({"architecture": {"decoder_depth": 10**7}}, "expected at most"),
        ({"architecture": {"tokenizer": {"blocks": 10**7}}}, "expected at most"),
    ],
)
def test_configurations_that_lie(
    tmp_path: Path, config: bytes | dict[str, Any], fault: str
) -> None:
    if isinstance(config, dict):
        config = json.dumps(GOOD_CONFIG | config).encode()
    (tmp_path / "config.json").write_bytes(config)
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    with pytest.raises(ValueError, match=fault):
        load_folder(tmp_path)
