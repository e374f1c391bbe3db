"""Checkpoints from a stranger: nothing runs, nothing is imported, nothing fills the memory."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import pickle
import pickletools
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vicl.models import load_model
from vicl.models.checkpoints import CheckpointError, TensorRef, open_checkpoint
from vicl.models.folder import load_folder
from vicl.models.pickles import Bounded, PickleError, read_pickle

MODULE = "this_module_must_not_be_imported"


def packed(data: bytes, parts: dict[str, bytes] | None = None, **options: Any) -> bytes:
    """A zip as torch.save writes it, around any pickle."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **options) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", "little")
        for name, content in (parts or {}).items():
            archive.writestr(name, content)
    return out.getvalue()


def legacy(data: bytes, keys: list[str] | None = None, parts: bytes = b"") -> bytes:
    """A file as torch.save wrote it before 1.6, around any pickle."""
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    return b"".join(pickle.dumps(x, 2) for x in head) + data + pickle.dumps(keys or [], 2) + parts


class Attack:
    """Runs a command when unpickled the usual way."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], Any]:
        return self.call


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


STRANGE = f"c{MODULE}\nrun\n".encode()
"""GLOBAL: import a module that lies beside the file, and leaves a mark when it is imported."""

CODE: dict[str, bytes] = {
    "REDUCE os.system": pickle.dumps(Attack(os.system, "mkdir ran"), 2),
    "REDUCE eval, protocol 0": b"cbuiltins\neval\n(V__import__('os').mkdir('ran')\ntR.",
    "REDUCE exec, protocol 4": pickle.dumps(Attack(exec, "import os; os.mkdir('ran')"), 4),
    "nested in a dict": pickle.dumps({"model": {"w": [Attack(os.system, "mkdir ran")]}}, 4),
    "GLOBAL of a strange module": STRANGE + b".",
    "REDUCE of a strange module": STRANGE + b")R.",
    "STACK_GLOBAL": b"\x80\x04" + text(MODULE) + text("run") + b"\x93)R.",
    "STACK_GLOBAL of dots": b"\x80\x04" + text("os") + text("path.os.system") + b"\x93.",
    "INST": f"(Vmkdir ran\ni{MODULE}\nrun\n.".encode(),
    "INST os.system": b"(Vmkdir ran\nios\nsystem\n.",
    "OBJ": b"(" + STRANGE + text("mkdir ran") + b"o.",
    "NEWOBJ": STRANGE + b")\x81.",
    "NEWOBJ_EX": b"\x80\x04" + STRANGE + b")}\x92.",
    "EXT1": b"\x80\x02\x82\x01)R.",
    "EXT2": b"\x80\x02\x83\x01\x01)R.",
    "EXT4": b"\x80\x02\x84\x01\x00\x00\x00)R.",
    "BUILD with __setstate__": STRANGE + b")R}" + text("__setstate__") + b"cos\nsystem\nsb.",
    "BUILD of slots": STRANGE + b")RN}" + text("__class__") + b"cos\nsystem\ns\x86b.",
    "BUILD of a dict": b"}N}" + text("__reduce__") + b"cos\nsystem\ns\x86b.",
    "BUILD of a known function": b"ctorch._utils\n_rebuild_tensor_v2\nN}"
    + text("__code__")
    + b"cos\nsystem\ns\x86b.",
    "a call of what a call gave": b"cbuiltins\ngetattr\n(cos\n__dict__\n"
    + text("system")
    + b"tR("
    + text("mkdir ran")
    + b"tR.",
    "defaultdict of a function": b"ccollections\ndefaultdict\n(cos\nsystem\ntR"
    + text("a")
    + b"K\x01s.",
    "an OrderedDict of pairs": b"ccollections\nOrderedDict\n(](]"
    + text("a")
    + b"acos\nsystem\naetR.",
    "appending to an object": STRANGE + b")R(K\x01K\x02e.",
    "keys set in an object": STRANGE + b")R" + text("a") + b"K\x01s.",
    "items added to a set": b"\x80\x04\x8f(cos\nsystem\n\x90.",
    "a frozen set": b"\x80\x04(cos\nsystem\n\x91.",
    "a persistent id that is a call": b"(Vmkdir ran\nios\nsystem\n.",
}


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer steps than in use: the tests' run-time type checks make each of them slow."""
    monkeypatch.setattr("vicl.models.pickles.STEP_LIMIT", 60_000)


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a module that leaves a mark when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"{MODULE}.py").write_text("import os\nos.mkdir('ran')\ndef run(*_): pass\n")
    return tmp_path


@pytest.mark.parametrize("case", CODE)
def test_no_code_runs(trap: Path, case: str) -> None:
    codecs.lookup("cp437")  # zipfile loads it when it is first used
    pickletools.dis(CODE[case], io.StringIO())  # each is a sound pickle, and not refused as junk
    before = set(sys.modules)
    for data in (legacy(CODE[case]), packed(CODE[case])):
        Path("bad.pth").write_bytes(data)
        with open_checkpoint("bad.pth") as checkpoint:
            repr(checkpoint.data)
    assert set(sys.modules) == before
    with pytest.raises(ValueError, match=r"bad\.pth"):
        load_model("bad.pth")
    assert not Path("ran").exists()
    assert MODULE not in sys.modules


def test_the_attacks_work_the_usual_way(trap: Path) -> None:
    """Else the tests above would prove nothing."""
    for case in ("REDUCE of a strange module", "INST os.system", "REDUCE eval, protocol 0"):
        with contextlib.suppress(FileNotFoundError):
            Path("ran").rmdir()
        with contextlib.suppress(Exception):
            pickle.loads(CODE[case])
        assert Path("ran").exists(), case
        sys.modules.pop(MODULE, None)


def storage(kind: str = "torch FloatStorage", key: str = "0", numel: bytes = b"K\x04") -> bytes:
    """A persistent id, as pickled."""
    module, name = kind.split()
    return (
        b"("
        + text("storage")
        + f"c{module}\n{name}\n".encode()
        + text(key)
        + text("cpu")
        + (numel + b"tQ")
    )


def tensor(size: bytes, stride: bytes, offset: bytes = b"K\x00", held: bytes = b"") -> bytes:
    """A pickled tensor on a part of four numbers."""
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + (held or storage())
        + offset
        + size
        + stride
        + b"\x89)tR"
    )


def long(value: int) -> bytes:
    data = value.to_bytes(16, "little", signed=True)
    return b"\x8a\x10" + data


FOUR = {"archive/data/0": np.arange(4, dtype="<f4").tobytes()}
LIES: dict[str, bytes] = {
    "larger than its part": tensor(b"K\x05\x85", b"K\x01\x85"),
    "strides out of its part": tensor(b"K\x02K\x02\x86", b"K\x08K\x01\x86"),
    "an offset out of its part": tensor(b"K\x01\x85", b"K\x01\x85", b"K\x04"),
    "a negative offset": tensor(b"K\x01\x85", b"K\x01\x85", long(-1)),
    "a negative stride": tensor(b"K\x02\x85", long(-1) + b"\x85"),
    "a negative size": tensor(long(-2) + b"\x85", b"K\x01\x85"),
    "2^60 elements of one number": tensor(long(2**60 - 1) + b"\x85", b"K\x00\x85"),
    "2^100 elements": tensor(long(2**100) + b"\x85", b"K\x00\x85"),
    "sizes that overflow": tensor(long(2**50) + long(2**50) + b"\x86", b"K\x00K\x00\x86"),
    "sizes without strides": tensor(b"K\x02K\x02\x86", b"K\x01\x85"),
    "sizes that are words": tensor(text("a") + b"\x85", b"K\x01\x85"),
    "sizes that are fractions": tensor(b"G?\xf0\0\0\0\0\0\0\x85", b"K\x01\x85"),
    "no sizes": tensor(b"N", b"N"),
    "a hundred dimensions": tensor(b"(" + b"K\x01" * 100 + b"t", b"(" + b"K\x01" * 100 + b"t"),
    "a huge part": tensor(b"K\x01\x85", b"K\x01\x85", held=storage(numel=long(2**58))),
    "an impossible part": tensor(b"K\x01\x85", b"K\x01\x85", held=storage(numel=long(2**90))),
    "a negative part": tensor(b"K\x01\x85", b"K\x01\x85", held=storage(numel=long(-4))),
    "a part that is not there": tensor(b"K\x01\x85", b"K\x01\x85", held=storage(key="7")),
    "a part outside": tensor(b"K\x01\x85", b"K\x01\x85", held=storage(key="../../etc/passwd")),
    "an absolute part": tensor(b"K\x01\x85", b"K\x01\x85", held=storage(key="/etc/passwd")),
    "digits of another script": tensor(b"K\x01\x85", b"K\x01\x85", held=storage(key="٣")),
    "another type than the part's": tensor(
        b"K\x01\x85", b"K\x01\x85", held=storage("torch DoubleStorage")
    ),
    "an odd persistent id": b"K\x05Q",
    "too few arguments": b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage() + b"tR",
}


@pytest.mark.parametrize("case", LIES)
def test_tensors_that_are_not_in_the_file(tmp_path: Path, case: str) -> None:
    path = tmp_path / "bad.pth"
    data = b"\x80\x02}" + text("w") + LIES[case] + b"s."
    path.write_bytes(packed(data, {**FOUR, "archive/data/٣": b"\0" * 16}))
    with pytest.raises(CheckpointError, match=r"bad\.pth"):
        open_checkpoint(path)


def test_the_same_in_the_old_format(tmp_path: Path) -> None:
    path = tmp_path / "bad.pth"
    good = b"\x80\x02}" + text("w") + tensor(b"K\x04\x85", b"K\x01\x85") + b"s."
    numbers = struct.pack("<q", 4) + FOUR["archive/data/0"]
    path.write_bytes(legacy(good, ["0"], numbers))
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.load(checkpoint.data)["w"].tolist() == [0, 1, 2, 3]
    for keys, parts in (
        (["0"], numbers[:-1]),
        (["0"], struct.pack("<q", 2**40) + numbers[8:]),
        (["0"], struct.pack("<q", -4) + numbers[8:]),
        (["0", "0"], numbers * 2),
        (["1"], numbers),
        ([], b""),
    ):
        path.write_bytes(legacy(good, keys, parts))
        with pytest.raises(CheckpointError, match=r"bad\.pth"):
            open_checkpoint(path)


def test_tensors_that_share_numbers_take_no_more_than_the_file(tmp_path: Path) -> None:
    """A thousand names for one part would else take a thousand times its memory."""
    path = tmp_path / "bad.pth"
    part = np.zeros(1 << 16, dtype="<f4").tobytes()
    one = tensor(long(1 << 16) + b"\x85", b"K\x01\x85", held=storage(numel=long(1 << 16)))
    items = b"".join(text(f"w{index}") + one + b"s" for index in range(1000))
    path.write_bytes(packed(b"\x80\x02}" + items + b".", {"archive/data/0": part}))
    with (
        open_checkpoint(path) as checkpoint,
        pytest.raises(CheckpointError, match="would take 262,144,000 bytes"),
    ):
        checkpoint.load(checkpoint.data)


def test_views_of_a_part_are_read_as_torch_reads_them(tmp_path: Path) -> None:
    whole = torch.arange(12.0).view(3, 4)
    torch.save({"a": whole, "b": whole.t(), "c": whole[1:, 1], "d": whole[:0]}, tmp_path / "x.pth")
    with open_checkpoint(tmp_path / "x.pth") as checkpoint:
        refs = checkpoint.data
        assert all(isinstance(ref, TensorRef) for ref in refs.values())
        for name, expected in {
            "a": whole,
            "b": whole.t(),
            "c": whole[1:, 1],
            "d": whole[:0],
        }.items():
            assert torch.equal(checkpoint.load({name: refs[name]})[name], expected)


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
    "lists nested 10,000 deep": b"]" * 10_000 + b"a" * 9_999 + b".",
    "tuples nested 10,000 deep": b")" + b"\x85" * 10_000 + b".",
    "dicts nested 10,000 deep": b"}K\x01" * 10_000 + b"N" + b"s" * 10_000 + b".",
    "objects nested 10,000 deep": b"ca\nb\n)R" * 10_000 + b"b" * 9_999 + b".",
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


def test_small_floats_are_left_out(tmp_path: Path) -> None:
    """Torch cannot compute with them, not even say whether they are finite."""
    tensors = {"a": torch.ones(2), "b": torch.ones(2).to(torch.float8_e4m3fn)}
    save_file(tensors, tmp_path / "x.safetensors")
    with open_checkpoint(tmp_path / "x.safetensors") as checkpoint:
        assert checkpoint.data.keys() == {"a"}


def test_any_byte_may_be_wrong(tmp_path: Path) -> None:
    """Changing bytes anywhere gives a checkpoint or a CheckpointError, never anything else."""
    rng = np.random.default_rng(0)
    path = tmp_path / "bad.pth"
    data: dict[str, Any] = {
        "model": {"a": torch.ones(2, 3), "b": torch.ones(4)},
        "x": [1, (2.5, "s", None)],
    }
    for kind in ("zip", "legacy", "safetensors"):
        path.unlink(missing_ok=True)
        if kind == "safetensors":
            save_file(data["model"], path)
        else:
            torch.save(data, path, _use_new_zipfile_serialization=kind == "zip")
        original = path.read_bytes()
        for _ in range(200):
            changed = bytearray(original)
            for place in rng.integers(0, len(changed), 2):
                changed[place] = rng.integers(0, 256)
            path.write_bytes(changed[: len(changed) - int(rng.integers(0, 20))])
            with contextlib.suppress(CheckpointError), open_checkpoint(path) as checkpoint:
                found = checkpoint.data
                found = found.get("model", found) if isinstance(found, dict) else None
                if isinstance(found, dict):
                    refs = {str(k): v for k, v in found.items() if isinstance(v, TensorRef)}
                    checkpoint.load(refs)


def test_random_programs_end(tmp_path: Path) -> None:
    """Opcodes in any order give data or a PickleError."""
    rng = np.random.default_rng(1)
    codes = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
    for _ in range(500):
        body = b"".join(
            codes[int(rng.integers(0, len(codes)))] + rng.bytes(int(rng.integers(0, 3)))
            for _ in range(30)
        )
        with contextlib.suppress(PickleError):
            read_pickle(Bounded(io.BytesIO(body), len(body)))


MEASURE = """
import sys
from vicl.models.checkpoints import open_checkpoint
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
    assert {case: kilobytes for case, kilobytes in growth.items() if kilobytes > 400_000} == {}


GOOD_CONFIG: dict[str, Any] = {"format": 1, "model": "mae-vqgan", "architecture": {}}


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"[" * 100_000,
        b" " * (2 << 20),
        b"null",
        json.dumps({**GOOD_CONFIG, "model": "os:system"}).encode(),
        json.dumps({**GOOD_CONFIG, "model": "../../etc"}).encode(),
        json.dumps({**GOOD_CONFIG, "format": 99}).encode(),
        json.dumps({**GOOD_CONFIG, "code": "x"}).encode(),
        json.dumps({**GOOD_CONFIG, "architecture": {"depth": 10**9}}).encode(),
        json.dumps({**GOOD_CONFIG, "architecture": {"canvas_size": [1 << 40] * 2}}).encode(),
        json.dumps({**GOOD_CONFIG, "architecture": {"embed_dim": 1 << 40}}).encode(),
        json.dumps({**GOOD_CONFIG, "architecture": {"mlp_ratio": 1e308}}).encode(),
        b'{"format":1,"model":"mae-vqgan","architecture":{"mlp_ratio":Infinity}}',
        json.dumps({**GOOD_CONFIG, "architecture": {"target": "os.system"}}).encode(),
        json.dumps({**GOOD_CONFIG, "architecture": {"decoder_depth": 10**7}}).encode(),
        json.dumps({**GOOD_CONFIG, "architecture": {"tokenizer": {"blocks": 10**7}}}).encode(),
    ],
)
def test_configurations_that_lie(tmp_path: Path, config: bytes) -> None:
    (tmp_path / "config.json").write_bytes(config)
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    with pytest.raises(ValueError, match=r".+"):
        load_folder(tmp_path)
