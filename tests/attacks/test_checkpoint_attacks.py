"""Checkpoints from a stranger: nothing runs, nothing is imported, no tensor lies."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import pickle
import pickletools
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.attacks.crafted import FOUR, legacy, long, packed, storage, tensor, text

from vicl.loading import load_model
from vicl.storage.checkpoints import CheckpointError, TensorRef, open_checkpoint
from vicl.storage.pickles import Bounded, PickleError, read_pickle

MODULE = "this_module_must_not_be_imported"


class Attack:
    """Runs a command when unpickled the usual way."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], Any]:
        return self.call


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
    """Many names for one part would else take many times its memory."""
    path = tmp_path / "bad.pth"
    part = np.zeros(1 << 16, dtype="<f4").tobytes()
    one = tensor(long(1 << 16) + b"\x85", b"K\x01\x85", held=storage(numel=long(1 << 16)))
    items = b"".join(text(f"w{index}") + one + b"s" for index in range(500))
    path.write_bytes(packed(b"\x80\x02}" + items + b".", {"archive/data/0": part}))
    with (
        open_checkpoint(path) as checkpoint,
        pytest.raises(CheckpointError, match="would take 131,072,000 bytes"),
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


def test_small_floats_are_left_out(tmp_path: Path) -> None:
    """Torch cannot compute with them, not even say whether they are finite."""
    tensors = {"a": torch.ones(2), "b": torch.ones(2).to(torch.float8_e4m3fn)}
    save_file(tensors, tmp_path / "x.safetensors")
    with open_checkpoint(tmp_path / "x.safetensors") as checkpoint:
        assert checkpoint.data.keys() == {"a"}


@pytest.mark.slow
def test_any_byte_may_be_wrong(tmp_path: Path) -> None:
    """Changing bytes anywhere gives a checkpoint or a CheckpointError, never anything else."""
    rng, opened = np.random.default_rng(0), 0
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
            cut = int(rng.integers(0, 20)) * int(rng.integers(0, 4) == 0)
            path.write_bytes(changed[: len(changed) - cut])
            with contextlib.suppress(CheckpointError), open_checkpoint(path) as checkpoint:
                found = checkpoint.data
                found = found.get("model", found) if isinstance(found, dict) else None
                if isinstance(found, dict):
                    refs = {str(k): v for k, v in found.items() if isinstance(v, TensorRef)}
                    checkpoint.load(refs)
                opened += 1
    assert 50 < opened < 550  # of 600: some changes do no harm


def test_random_programs_end(tmp_path: Path) -> None:
    """Opcodes in any order give data or a PickleError."""
    rng, ended = np.random.default_rng(1), 0
    codes = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
    for _ in range(500):
        body = b"".join(
            codes[int(rng.integers(0, len(codes)))] + rng.bytes(int(rng.integers(0, 3)))
            for _ in range(int(rng.integers(1, 30)))
        )
        body += b"."
        with contextlib.suppress(PickleError):
            read_pickle(Bounded(io.BytesIO(body), len(body)))
            ended += 1
    assert 0 < ended < 500
