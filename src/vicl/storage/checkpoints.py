"""Reading other people's checkpoint files: tensors and plain data, and nothing else.

`torch.save` writes pickles, which can run any code when they are loaded the usual way, and the
published checkpoints hold more than tensors (an `argparse.Namespace`, callbacks), so that torch's
safe loading refuses them. Here the pickle is read by :mod:`vicl.storage.pickles`, which imports and
calls nothing, and torch sees no more than the raw numbers. Both of torch's formats are read (the
zip of torch 1.6 and later, and the one before it), and safetensors.

Sizes that a file declares are checked against the file's own before memory is taken, and only
the tensors that are asked for are read.
"""

from __future__ import annotations

import io
import math
import os
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vicl.files import FileError, display, open_plain, reason
from vicl.storage.pickles import Bounded, Global, PickleError, Placeholder, read_pickle

READ_LIMIT = 8 << 20
"""Of bytes read at once, and so of a pickle and of a zip's directory (100,000 tensors); those of
a large model with its optimizer's state take less than one MiB."""

_MAX_DIMS = 16
_SHORT = 256
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
    "torch.ComplexFloatStorage": torch.complex64,
    "torch.ComplexDoubleStorage": torch.complex128,
}
_FAULTS = (
    *(ValueError, TypeError, OSError, EOFError, RuntimeError, OverflowError, IndexError),
    *(zipfile.BadZipFile, struct.error, SafetensorError),
)
"""What zipfile, torch and safetensors raise on broken files."""


class CheckpointError(FileError):
    """A checkpoint that cannot be read; the message names it, the fault and the remedy."""


@dataclass(frozen=True, eq=False)
class Storage:
    """A run of numbers in a checkpoint: its key there, what the numbers are, and how many."""

    key: str
    dtype: torch.dtype
    numel: int


@dataclass(frozen=True, eq=False)
class TensorRef:
    """A tensor that stands in a checkpoint and was not read yet.

    Attributes:
        storage: Where its numbers are.
        offset: Of its first element there.
        shape: Its sizes.
        stride: Between elements, per dimension.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Its size once read."""
        return math.prod(self.shape) * self.storage.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """An open checkpoint; a context manager.

    Attributes:
        path: The file.
        size: Its bytes.
        data: What is in it: plain containers, :class:`TensorRef`, and placeholders of all else.
            It can hold itself: look things up in it, never walk it.
    """

    path: str
    size: int
    data: Any
    _fetch: Callable[[Storage], Tensor] = field(repr=False)
    _close: Callable[[], None] = field(repr=False)

    def load(self, refs: Mapping[str, TensorRef]) -> dict[str, Tensor]:
        """Read tensors, each into memory of its own.

        Raises:
            CheckpointError: If the file is damaged, or they share so much of it that together
                they would take more memory than it has bytes.
        """
        total = sum(ref.nbytes for ref in refs.values())
        if total > self.size:
            raise CheckpointError(
                f"{display(self.path)}: its tensors would take {total:,} bytes, but the file has "
                f"{self.size:,}; not read"
            )
        try:
            return {name: self._load(ref) for name, ref in refs.items()}
        except _FAULTS as error:
            raise CheckpointError(
                f"{display(self.path)}: is damaged ({reason(error)}); get a whole copy of it"
            ) from error

    def _load(self, ref: TensorRef) -> Tensor:
        flat = self._fetch(ref.storage)
        tensor = flat.as_strided(ref.shape, ref.stride, ref.offset)
        return tensor if tensor.numel() == flat.numel() else tensor.clone()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open a checkpoint: torch's zip or older format, or safetensors, told by its first bytes.

    Raises:
        CheckpointError: If it is none of these, is damaged or cut short, or declares sizes that
            it cannot have.
        FileError: If there is no such plain file.
    """
    name = display(path)
    stream = Modest(open_plain(path).detach())
    try:
        size = os.fstat(stream.fileno()).st_size
        start = stream.peek(9)[:9]
        if start[:2] == b"PK":
            return _open_zip(os.fspath(path), size, stream)
        if start[8:9] == b"{":
            return _open_safetensors(os.fspath(path), size, stream)
        if start[:1] == b"\x80":
            return _open_legacy(os.fspath(path), size, stream)
        raise CheckpointError("is neither a torch checkpoint nor safetensors")
    except BaseException as error:
        stream.close()
        if not isinstance(error, _FAULTS):
            raise
        advice = (
            "it is not a checkpoint, or not a whole one; get it again and compare its size and "
            "hash with the publisher's"
        )
        raise CheckpointError(f"{name}: {reason(error)}; {advice}") from error


class Modest(io.BufferedReader):
    """A file that refuses to be read in large pieces, whatever sizes are declared in it."""

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file, but at most :data:`READ_LIMIT`; ValueError if more comes."""
        whole = size is None or size < 0
        data = super().read(READ_LIMIT + 1 if whole else min(size or 0, READ_LIMIT + 1))
        if len(data) > READ_LIMIT:
            raise CheckpointError(f"has a directory or a string of over {READ_LIMIT >> 20} MiB")
        return data


def _open_zip(path: str, size: int, stream: io.BufferedReader) -> Checkpoint:
    archive = zipfile.ZipFile(stream)
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.filename in entries:
            raise CheckpointError(f"holds two entries of one name ({display(info.filename)[:80]})")
        entries[info.filename] = info
    roots = [name[: -len("data.pkl")] for name in entries if re.fullmatch("[^/]+/data[.]pkl", name)]
    if len(roots) != 1:
        raise CheckpointError("is a zip, but not one of torch.save (it needs one data.pkl)")
    root = roots[0]

    def entry(name: str) -> zipfile.ZipInfo:
        info = entries.get(root + name)
        if info is None:
            raise CheckpointError(f"lacks its part {display(name)[:80]}")
        # torch.save never compresses, so an entry cannot be larger than the file.
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise CheckpointError(f"has a compressed part ({display(name)[:80]})")
        if info.header_offset + info.compress_size > size:
            raise CheckpointError(f"ends before its part {display(name)[:80]} does")
        return info

    if root + "byteorder" in entries:
        info = entry("byteorder")
        if info.file_size > 16 or archive.read(info) != b"little":
            raise CheckpointError("was written on a big-endian machine, which is not supported")

    def persistent(identity: object) -> object:
        storage = _storage(identity)
        if storage is None:
            return Placeholder("?")
        if not re.fullmatch("[0-9]{1,20}", storage.key, re.ASCII):
            raise CheckpointError(f"has a part with the odd name {display(storage.key)[:80]}")
        if entry(f"data/{storage.key}").file_size != storage.numel * storage.dtype.itemsize:
            raise CheckpointError(f"says {storage.numel} numbers are in part {storage.key}; no")
        return storage

    def fetch(storage: Storage) -> Tensor:
        with archive.open(entry(f"data/{storage.key}")) as part:
            return _numbers(cast("io.BufferedIOBase", part), storage)

    info = entry("data.pkl")
    if info.file_size >= READ_LIMIT:
        raise CheckpointError(f"has a pickle of over {READ_LIMIT >> 20} MiB")
    pickled = archive.read(info)  # compares the checksum
    stored = Bounded(io.BytesIO(pickled), len(pickled))
    data = read_pickle(stored, meanings=_MEANINGS, persistent=persistent)
    return Checkpoint(path, size, data, fetch, stream.close)


def _open_legacy(path: str, size: int, stream: io.BufferedReader) -> Checkpoint:
    """The format before torch 1.6: five pickles, then each storage's length and numbers."""
    storages: dict[str, Storage] = {}

    def persistent(identity: object) -> object:
        storage = _storage(identity)
        if storage is None:
            return Placeholder("?")
        known = storages.setdefault(storage.key, storage)
        if (known.dtype, known.numel) != (storage.dtype, storage.numel):
            raise CheckpointError("says two things about one part")
        return known

    def pickled() -> Any:
        limit = min(READ_LIMIT, size - stream.tell())
        return read_pickle(Bounded(stream, limit), meanings=_MEANINGS, persistent=persistent)

    if pickled() != _LEGACY_MAGIC:
        raise CheckpointError("is a pickle, but not one of torch.save")
    if pickled() != 1001:
        raise CheckpointError("has a version of torch's old format that is not known")
    system = pickled()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise CheckpointError("was written on a big-endian machine, which is not supported")
    data = pickled()
    keys = pickled()
    if not isinstance(keys, list):
        raise CheckpointError("does not list its parts")
    places: dict[str, int] = {}
    for key in keys:
        if not isinstance(key, str) or key not in storages or key in places:
            raise CheckpointError("lists parts that it does not use, or twice")
        (numel,) = struct.unpack("<q", Bounded(stream, size - stream.tell()).read(8))
        places[key] = stream.tell()
        end = places[key] + storages[key].numel * storages[key].dtype.itemsize
        if numel != storages[key].numel or end > size:
            raise CheckpointError("ends too early, or says two things about one part's length")
        stream.seek(end)
    if set(places) != set(storages):
        raise CheckpointError("lacks some of its parts")

    def fetch(storage: Storage) -> Tensor:
        stream.seek(places[storage.key])
        return _numbers(stream, storage)

    return Checkpoint(path, size, data, fetch, stream.close)


def _open_safetensors(path: str, size: int, stream: io.BufferedReader) -> Checkpoint:
    (length,) = struct.unpack("<Q", stream.peek(8)[:8])
    if not length < READ_LIMIT:  # the library's own limit is 100 MB
        raise CheckpointError(f"says that its header has {length:,} bytes")
    stream.close()
    # The library checks the header against the file, and maps the numbers: none is read yet.
    with safe_open(path, framework="pt") as file:
        tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    data = {
        name: TensorRef(
            Storage(name, tensor.dtype, tensor.numel()), 0, tuple(tensor.shape), tensor.stride()
        )
        for name, tensor in tensors.items()
        # A type of number that torch hardly knows (float8) is left out, and missed if needed.
        if tensor.dtype in _DTYPES.values()
    }

    def fetch(storage: Storage) -> Tensor:
        return tensors[storage.key].reshape(-1).clone()

    return Checkpoint(path, size, data, fetch, tensors.clear)


def _numbers(part: io.BufferedIOBase, storage: Storage) -> Tensor:
    """Read a storage's numbers; its length was checked against the file's."""
    buffer = torch.empty(storage.numel * storage.dtype.itemsize, dtype=torch.uint8)
    view: memoryview = buffer.numpy().data
    done = 0
    while done < len(view):
        piece = part.read(min(READ_LIMIT, len(view) - done))
        if not piece:
            raise EOFError("it ends too early")
        view[done : done + len(piece)] = piece
        done += len(piece)
    part.read(0 if isinstance(part, io.BufferedReader) else 1)  # a zip compares its checksum
    return buffer.view(storage.dtype)


def _storage(identity: object) -> Storage | None:
    """What a persistent id of torch.save says; None for a kind of number that is not known."""
    match identity:
        case ("storage", Global() as kind, str() as key, str(), int() as numel, *rest):
            if rest not in ([], [None]):
                raise CheckpointError("has views of parts, as torch wrote before 0.4")
            if numel < 0 or numel.bit_length() > 60:
                raise CheckpointError(f"has a part of {numel} numbers"[:80])
            dtype = _DTYPES.get(kind.name)
            return None if dtype is None else Storage(key, dtype, numel)
    raise CheckpointError("refers to a part in a way that torch.save does not")


def _tensor(arguments: tuple[Any, ...]) -> object:
    """What `torch._utils._rebuild_tensor_v2` makes: here a checked reference."""
    storage, offset, shape, stride = arguments[:4]
    if not isinstance(storage, Storage):
        return Placeholder("a tensor of an unknown kind")
    if not (isinstance(shape, tuple) and isinstance(stride, tuple)):
        raise PickleError("has a tensor without sizes")
    if len(shape) != len(stride) or len(shape) > _MAX_DIMS:
        raise PickleError("has a tensor with odd sizes")
    if any(type(n) is not int or not 0 <= n < 1 << 60 for n in (offset, *shape, *stride)):
        raise PickleError("has a tensor with odd sizes")
    numel = math.prod(shape)
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if numel > storage.numel or (numel and last >= storage.numel):
        raise PickleError("has a tensor that reaches out of its part of the file")
    return TensorRef(storage, offset if numel else 0, shape, stride)


def _first(arguments: tuple[Any, ...]) -> object:
    return arguments[0]


def _bytes(arguments: tuple[Any, ...]) -> object:
    """Bytes as pickled for Python 2; short ones, since each call makes a copy."""
    match arguments:
        case (str() as text, "latin1") if len(text) <= _SHORT:
            return text.encode("latin-1")
    return Placeholder("bytes")


_MEANINGS = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.Size": _first,
    "_codecs.encode": _bytes,
}
