"""Reading pickles as data: nothing that a pickle names is ever imported or called.

A pickle is a program for a small stack machine, and the standard machine runs whatever the
program asks for.  This one has no way to: it knows numbers, strings, bytes, lists, tuples and
dicts; every global that the pickle names becomes an inert :class:`Global`, and whatever the pickle
would make of it an inert :class:`Placeholder`.  The few globals that mean data (an ordered dict, a
tensor) are given by the caller as functions of ours, by name.

Time and memory are bounded by the bytes read and by the number of steps.  Never walk the result
as a tree: it can hold itself, or one list a billion times by reference.
"""

from __future__ import annotations

import io
import pickletools
import struct
from collections.abc import Callable, Mapping
from typing import IO, Any, cast

STEP_LIMIT = 1_000_000
"""Of opcodes, and of entries copied. A large model with its optimizer's state takes 100,000."""

LINE_LIMIT = 1024
"""Of bytes in a line of text: names of globals, and numbers written in decimal."""

Meaning = Callable[[tuple[Any, ...]], object]
"""What a call of a known global gives, from its arguments: a function of ours."""


class PickleError(ValueError):
    """A pickle that is cut short, broken, or asks for more than data can need."""


class Global:
    """A name that a pickle wants imported; it is not."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<global {self.name!r}, not imported>"


class Placeholder:
    """What a pickle would have made by calling a global; nothing was called.

    Attributes:
        name: Of the global, such as "argparse.Namespace"; "?" where there is none.
        state: What the pickle would have set in it, as data; None if nothing.
    """

    __slots__ = ("name", "state")

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: object = None

    def __repr__(self) -> str:
        return f"<placeholder of {self.name!r}>"


class Bounded:
    """A stream that never gives, or makes room for, more bytes than it has left.

    Args:
        stream: To read from, at its present place.
        limit: How many bytes may be read, at most.
    """

    def __init__(self, stream: io.BufferedIOBase, limit: int) -> None:
        self._stream = stream
        self._left = limit

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes.

        Raises:
            PickleError: If there are not so many.
        """
        if not 0 <= size <= self._left:
            raise PickleError(f"ends too early: {size} bytes are announced, {self._left} are there")
        data = self._stream.read(size)
        if len(data) != size:
            raise PickleError("ends too early")
        self._left -= size
        return data

    def readline(self) -> bytes:
        """A line, with its end.

        Raises:
            PickleError: If it does not end, or not soon.
        """
        line = self._stream.readline(min(LINE_LIMIT, self._left))
        if not line.endswith(b"\n"):
            raise PickleError("ends too early, or has a line of text that is too long")
        self._left -= len(line)
        return line


def read_pickle(
    stream: Bounded,
    *,
    meanings: Mapping[str, Meaning] | None = None,
    persistent: Callable[[object], object] | None = None,
) -> Any:
    """Read one pickle; the stream is left behind its last byte.

    Args:
        stream: What to read.
        meanings: By full name ("torch._utils._rebuild_tensor_v2"): what calling that global
            gives. Such a function must check its arguments, and raise ValueError.
        persistent: What a persistent id stands for; None makes a placeholder of each.

    Returns:
        Plain data, with :class:`Global` and :class:`Placeholder` objects in it.

    Raises:
        PickleError: If the pickle is broken, or too large a program.
    """
    machine = _Machine(stream, meanings or {}, persistent or (lambda _: Placeholder("?")))
    try:
        return machine.run()
    except PickleError:
        raise
    except (ValueError, LookupError, OverflowError, TypeError, struct.error) as error:
        words = " ".join(str(error).split())[:100]
        raise PickleError(f"is not a sound pickle ({type(error).__name__}: {words})") from error


_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_PUSHED = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
"""Opcodes that push their argument."""

_MADE: Mapping[str, Callable[[], object]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": lambda: Placeholder("builtins.set"),
}
_KNOWN = _PUSHED | _MADE.keys() | {"STOP"}
"""What needs no method of its own."""
"""What opcodes without an argument push."""

_DICTS = frozenset(
    ("collections.OrderedDict", "collections.defaultdict", "builtins.dict", "__builtin__.dict")
)


class _Machine:
    """The stack machine: one method an opcode."""

    def __init__(
        self,
        stream: Bounded,
        meanings: Mapping[str, Meaning],
        persistent: Callable[[object], object],
    ) -> None:
        self.stream = stream
        self.meanings = meanings
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.steps = 0

    def run(self) -> object:
        source = cast("IO[bytes]", self.stream)
        while True:
            self.steps += 1
            if self.steps > STEP_LIMIT:
                self.charge(0)
            byte = self.stream.read(1)
            opcode = _OPCODES.get(byte.decode("latin-1"))
            if opcode is None:
                raise PickleError(f"is not a pickle: unknown opcode {byte!r}")
            name = opcode.name
            handler = getattr(self, f"op_{name.lower()}", None)
            if handler is None and name not in _KNOWN:
                raise PickleError(f"uses {name}, which no checkpoint needs")
            argument = None if opcode.arg is None else opcode.arg.reader(source)
            if name == "STOP":
                return self.stack.pop()
            if handler is not None:
                handler(argument)
            else:
                self.stack.append(_MADE[name]() if name in _MADE else argument)

    def charge(self, steps: int) -> None:
        self.steps += steps
        if self.steps > STEP_LIMIT:
            raise PickleError(f"is too large a program (over {STEP_LIMIT:,} steps)")

    def marked(self) -> list[Any]:
        """What was pushed since the last mark."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    def called(self, function: object, arguments: object) -> object:
        """What a call in the pickle gives: a placeholder, or data where the name means data."""
        if not isinstance(function, Global):
            return Placeholder("?")
        given = arguments if isinstance(arguments, tuple) else ()
        if function.name in _DICTS:
            return self.new_dict(given)
        meaning = self.meanings.get(function.name)
        return Placeholder(function.name) if meaning is None else meaning(given)

    def new_dict(self, arguments: tuple[Any, ...]) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
        # One list may stand behind many dicts: copying is work, and is counted as such.
        self.charge(len(pairs))
        for pair in pairs:
            if isinstance(pair, list | tuple) and len(pair) == 2:
                found[_key(pair[0])] = pair[1]
        return found

    def update(self, target: object, items: list[Any]) -> None:
        if len(items) % 2:
            raise PickleError("sets a key without a value")
        if isinstance(target, dict):
            for index in range(0, len(items), 2):
                target[_key(items[index])] = items[index + 1]

    # Numbers, strings and constants are pushed (see run); here, what has an effect of its own.

    def op_proto(self, version: int) -> None:
        if version > 5:
            raise PickleError(f"has protocol {version}, expected at most 5")

    def op_frame(self, _: int) -> None:
        """Frames only say how to buffer."""

    def op_mark(self, _: None) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def op_pop(self, _: None) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.marked()

    def op_pop_mark(self, _: None) -> None:
        self.marked()

    def op_dup(self, _: None) -> None:
        self.stack.append(self.stack[-1])

    def op_list(self, _: None) -> None:
        items = self.marked()
        self.stack.append(items)

    def op_tuple(self, _: None) -> None:
        items = self.marked()
        self.stack.append(tuple(items))

    def op_dict(self, _: None) -> None:
        items = self.marked()
        self.stack.append({})
        self.update(self.stack[-1], items)

    def op_frozenset(self, _: None) -> None:
        self.marked()
        self.stack.append(Placeholder("builtins.frozenset"))

    def op_tuple1(self, _: None) -> None:
        self.stack[-1] = (self.stack[-1],)

    def op_tuple2(self, _: None) -> None:
        last = self.stack.pop()
        self.stack[-1] = (self.stack[-1], last)

    def op_tuple3(self, _: None) -> None:
        last, middle = self.stack.pop(), self.stack.pop()
        self.stack[-1] = (self.stack[-1], middle, last)

    def op_append(self, _: None) -> None:
        item = self.stack.pop()
        if isinstance(self.stack[-1], list):
            self.stack[-1].append(item)

    def op_appends(self, _: None) -> None:
        items = self.marked()
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def op_additems(self, _: None) -> None:
        self.marked()

    def op_setitem(self, _: None) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.update(self.stack[-1], [key, value])

    def op_setitems(self, _: None) -> None:
        items = self.marked()
        self.update(self.stack[-1], items)

    def op_memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def op_put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    op_binput = op_long_binput = op_put

    def op_get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    op_binget = op_long_binget = op_get

    def op_global(self, name: str) -> None:
        # The two names stand on a line each, and come joined by a space.
        self.stack.append(Global(name.replace(" ", ".", 1)))

    def op_stack_global(self, _: None) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise PickleError("names a global by something that is no string")
        self.charge(len(name) + len(module))
        self.stack.append(Global(f"{module}.{name}"))

    def op_ext1(self, code: int) -> None:
        self.stack.append(Global(f"extension {code}"))

    op_ext2 = op_ext4 = op_ext1

    def op_reduce(self, _: None) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self.called(self.stack[-1], arguments)

    op_newobj = op_reduce

    def op_newobj_ex(self, _: None) -> None:
        self.stack.pop()
        self.op_reduce(None)

    def op_inst(self, name: str) -> None:
        arguments = tuple(self.marked())
        self.stack.append(self.called(Global(name.replace(" ", ".", 1)), arguments))

    def op_obj(self, _: None) -> None:
        items = self.marked()
        self.stack.append(self.called(items[0], tuple(items[1:])))

    def op_build(self, _: None) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Placeholder):
            self.stack[-1].state = state

    def op_persid(self, identity: str) -> None:
        self.stack.append(self.persistent(identity))

    def op_binpersid(self, _: None) -> None:
        self.stack.append(self.persistent(self.stack.pop()))


def _key(key: object) -> object:
    """A dict's key: itself, or a placeholder where looking it up could be made slow.

    Tuples can nest so that their hash takes for ever, and large integers can all have one hash.
    """
    if key is None or isinstance(key, str | bytes | bool | float):
        return key
    if isinstance(key, int) and key.bit_length() <= 60:
        return key
    return Placeholder("?")
