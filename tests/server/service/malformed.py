"""Bodies that no service should stumble over, made from seeds."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.server.service.serving import png, scene

BOUNDARY = b"vicl-test-boundary"


@dataclass(frozen=True)
class Bad:
    """A request that is refused: the headers beside the usual ones, and its body."""

    body: bytes
    kind: str = f"multipart/form-data; boundary={BOUNDARY.decode()}"
    headers: tuple[tuple[str, str], ...] = ()


def part(disposition: bytes, content: bytes, more: bytes = b"") -> bytes:
    head = b"--" + BOUNDARY + b"\r\nContent-Disposition: form-data; " + disposition + b"\r\n"
    return head + more + b"\r\n" + content + b"\r\n"


def word(name: str, value: str | bytes) -> bytes:
    return part(f'name="{name}"'.encode(), value if isinstance(value, bytes) else value.encode())


def file(name: str, content: bytes, filename: bytes = b"a.png") -> bytes:
    return part(f'name="{name}"; filename="'.encode() + filename + b'"', content)


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def picture(random_: random.Random) -> bytes:
    return png(scene(random_.randrange(1000))[0])


def whole(random_: random.Random) -> bytes:
    """A request that would be answered."""
    return form(file("query", picture(random_)), word("prompt", "leaf"))


def cut(r: random.Random) -> Bad:
    body = whole(r)
    return Bad(body[: r.randrange(len(body) - len(BOUNDARY) - 8)])


def noise(r: random.Random) -> Bad:
    return Bad(r.randbytes(r.randrange(4000)))


def other_boundary(r: random.Random) -> Bad:
    wrong = r.choice(["", "; boundary=", "; boundary=other", f"; boundary={'b' * 5000}", "; x=y"])
    return Bad(whole(r), "multipart/form-data" + wrong)


def other_kind(r: random.Random) -> Bad:
    kinds = ["application/json", "text/plain", "application/x-www-form-urlencoded", "", "\x00"]
    return Bad(whole(r), r.choice([*kinds, "multipart/mixed; boundary=x", "image/png"]))


def packed(r: random.Random) -> Bad:
    named = r.choice(["gzip", "deflate", "br", "gzip, gzip", "nonsense"])
    return Bad(zlib.compress(whole(r)), headers=(("content-encoding", named),))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb(r: random.Random) -> Bad:
    """A small file of a picture that would fill the memory."""
    width, height = r.choice([(60_000, 60_000), (2**31 - 1, 1), (1, 2**31 - 1), (30_000, 9_000)])
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(r.randrange(10_000, 900_000))))
    made = b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")
    return Bad(form(file("query", made), word("prompt", "leaf")))


def broken_picture(r: random.Random) -> Bad:
    data = picture(r)
    return Bad(form(file("query", data[: r.randrange(len(data) // 2)]), word("prompt", "leaf")))


class _Run:
    def __reduce__(self) -> Any:
        return exit, (3,)


def stranger(r: random.Random) -> Bad:
    """A file of another kind, under a picture's name."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../" * r.randrange(1, 9) + "etc/passwd", picture(r))
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    contents = [packed.getvalue(), pickle.dumps(_Run()), svg, b"%PDF-1.7", b"GIF8", b"RIFF0000WEBP"]
    contents += [b"\x93NUMPY\x01\x00", b"http://localhost/a.png", b"/etc/passwd", b"\xff\xd8\xff"]
    field = r.choice(["query", "example_input", "example_output"])
    good = [file(name, picture(r)) for name in ("query", "example_input", "example_output")]
    good[("query", "example_input", "example_output").index(field)] = file(
        field, r.choice(contents)
    )
    return Bad(form(*good))


def wrong_word(r: random.Random) -> Bad:
    values = [
        "",
        "\x00",
        "null",
        "[]",
        "{}",
        "NaN",
        "1e999",
        "9" * 6000,
        "[" * 5000,
        "\ufffd",
        "-1",
    ]
    values += ["true", '{"seed": 1e400}', '{"layout": {"canvas_size": [1000000, 1000000]}}']
    values += [json.dumps({"samples": 10**9}), json.dumps({"tile": -5}), json.dumps({"a": {}})]
    name = r.choice(["settings", "task", "format", "pixels", "timeout", "boxes", "palette"])
    values = [v for v in values if not (name == "settings" and v == "{}")]
    values = [v for v in values if not (name == "palette" and v == "true")]
    pair = file("example_input", picture(r)) + file("example_output", picture(r))
    return Bad(form(file("query", picture(r)), pair, word(name, r.choice(values))))


def wrong_name(r: random.Random) -> Bad:
    names = ["prompts", "Query", "", "query[]", "a" * 9000, "../query", "__class__", "url", "model"]
    return Bad(form(file("query", picture(r)), word("prompt", "leaf"), word(r.choice(names), "1")))


def no_text(r: random.Random) -> Bad:
    """Names and words that are no UTF-8."""
    bad = bytes(r.choice([0x80, 0xC0, 0xFF, 0xED]) for _ in range(r.randrange(1, 20)))
    ways = [
        form(part(b'name="' + bad + b'"', b"1"), file("query", picture(r))),
        form(file("query", b"no picture", bad), word("prompt", "leaf")),
        form(file("query", picture(r)), word("prompt", bad)),
    ]
    return Bad(r.choice(ways))


def prompt_elsewhere(r: random.Random) -> Bad:
    names = [
        "../leaf",
        "/etc/passwd",
        "leaf.vicl",
        "http://localhost/leaf.vicl",
        "leaf\x00",
        "LEAF",
    ]
    names += ["file:///leaf", "..\\leaf", "\u202eleaf", "leaf" * 5000, "\\\\server\\leaf", "~/leaf"]
    return Bad(form(file("query", picture(r)), word("prompt", r.choice(names))))


def many(r: random.Random) -> Bad:
    ways = [
        form(*[file("query", b"x")] * 40, word("prompt", "leaf")),
        form(*[word("prompt", "leaf")] * 40, file("query", picture(r))),
        form(file("query", picture(r)), word("settings", "x" * 400_000)),
        form(file("query", picture(r)), *[word("prompt", "leaf")] * 2),
    ]
    return Bad(r.choice(ways))


def part_headers(r: random.Random) -> Bad:
    """Headers of a part without end, without a name, or with a line that is none."""
    ways = [
        form(part(b'name="query"; filename="a"', picture(r), b"X: " + b"a" * 100_000 + b"\r\n")),
        form(part(b'name="query"; filename="a"', picture(r), b"X-A: a\r\n" * 5000)),
        form(part(b'filename="a"', picture(r))),
        form(part(b"", picture(r))),
        form(part(b'name="query"; filename="a"', picture(r), b"no header\r\n")),
        form(part(b'name="query"; filename="a"', picture(r), b"\x00: \x01\r\n")),
    ]
    return Bad(r.choice(ways))


KINDS: tuple[Callable[[random.Random], Bad], ...] = (
    *(cut, noise, other_boundary, other_kind, packed, bomb, broken_picture, stranger),
    *(wrong_word, wrong_name, no_text, prompt_elsewhere, many, part_headers),
)


def made(seed: int) -> Bad:
    """The bad request of a seed."""
    return KINDS[seed % len(KINDS)](random.Random(seed))
