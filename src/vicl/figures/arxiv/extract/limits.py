"""How much may be taken of one paper, whose source may come from a stranger."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limits:
    """A paper over one of these is given up whole; over `member` or `pixels` only that picture.

    Over `texts`, its text is not read, so that nothing is assembled.

    Attributes:
        source: Bytes of the source as it is packed.
        unpacked: Bytes that come out of it.
        members: Of its archive, folders and links among them.
        member: Bytes of one of them.
        texts: Characters of all its TeX.
        pixels: Of a picture, as its header says.
        longest: Longest side of a figure, in pixels; the paper's data have 1024.
        written: Bytes of its figures as PNG.
        seconds: For the whole of it, by the clock; for one EPS file a quarter of it.
        memory: Bytes that a process takes beyond those that it has when it begins.
    """

    source: int = 1 << 29
    unpacked: int = 1 << 31
    members: int = 20_000
    member: int = 1 << 27
    texts: int = 1 << 24
    pixels: int = 50_000_000
    longest: int = 1024
    written: int = 1 << 29
    seconds: int = 300
    memory: int = 1 << 31

    def __post_init__(self) -> None:
        """Check them.

        Raises:
            ValueError: If one is not positive.
        """
        for field in fields(self):
            if getattr(self, field.name) < 1:
                given = getattr(self, field.name)
                raise ValueError(f"{field.name}: got {given}, expected at least 1")
