"""arXiv's identifiers: new ones, old ones, and the names of files that are made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

SOURCE_SUFFIXES: Final = (".tar.gz", ".tgz", ".gz", ".tar", ".pdf")
"""How the names of sources end; the longer of two that fit stands first."""

_ARCHIVES: Final = frozenset(
    (
        *("acc-phys", "adap-org", "alg-geom", "ao-sci", "astro-ph", "atom-ph", "bayes-an"),
        *("chao-dyn", "chem-ph", "cmp-lg", "comp-gas", "cond-mat", "cs", "dg-ga", "funct-an"),
        *("gr-qc", "hep-ex", "hep-lat", "hep-ph", "hep-th", "math", "math-ph", "mtrl-th", "nlin"),
        *("nucl-ex", "nucl-th", "patt-sol", "physics", "plasm-ph", "q-alg", "q-bio", "quant-ph"),
        *("solv-int", "supr-con"),
    )
)
"""The archives of the old identifiers (until March 2007)."""

_VERSION = r"(?:v([1-9][0-9]{0,3}))?"
_NEW = re.compile(rf"([0-9]{{2}})(0[1-9]|1[0-2])\.([0-9]{{4,5}}){_VERSION}")
_OLD = re.compile(
    rf"([a-z-]+)(?:\.[A-Z]{{2}})?(/?)([0-9]{{2}})(0[1-9]|1[0-2])([0-9]{{3}}){_VERSION}"
)
_BEFORE = re.compile(
    r"(?:https?://[a-z.]*arxiv\.org/(?:abs|pdf|src|e-print)/|arxiv:)", re.IGNORECASE
)


@dataclass(frozen=True, order=True)
class PaperId:
    """A paper, or one version of it.

    Attributes:
        number: The identifier without version: `2209.00647`, `cs/0112017`.
        version: From 1; None is whichever.
    """

    number: str
    version: int | None = None

    @classmethod
    def parse(cls, text: str) -> PaperId:
        """Read an identifier as people and lists write it.

        Args:
            text: `2209.00647v3`, `cs/0112017`, `math.GT/0309136v1`, with or without `arXiv:` or
                the address before it.

        Raises:
            ValueError: If it is none.
        """
        bare = text.strip()
        bare = bare[found.end() :] if (found := _BEFORE.match(bare)) else bare
        paper = _read(bare.removesuffix(".pdf"), slash="/")
        if paper is None:
            raise ValueError(f"got {text[:60]!r}, expected an arXiv identifier{_advice(bare)}")
        return paper

    @classmethod
    def of_file(cls, name: str) -> PaperId | None:
        """The paper that a source is of by its name (`cs0112017.gz`); None where it tells none."""
        suffix = next((suffix for suffix in SOURCE_SUFFIXES if name.endswith(suffix)), None)
        return None if suffix is None else _read(name.removesuffix(suffix), slash="")

    def __str__(self) -> str:
        return self.number if self.version is None else f"{self.number}v{self.version}"

    @property
    def file_name(self) -> str:
        """What files of it are called, without suffix: `2209.00647v1`, `cs0112017`."""
        return str(self).replace("/", "")

    @property
    def folder(self) -> str:
        """Year and month of its first version, `YYMM`, as arXiv's own folders are called."""
        return self.number.rpartition("/")[2][:4]

    def of_version(self, version: int | None) -> PaperId:
        """Another version of it; None is whichever."""
        return replace(self, version=version)


def _read(text: str, *, slash: str) -> PaperId | None:
    if found := _NEW.fullmatch(text):
        year, month, digits, version = found.groups()
        # Numbers had four digits from April 2007 until December 2014, and five since.
        if year + month < "0704" or len(digits) != (4 if year < "15" else 5):
            return None
        number = f"{year}{month}.{digits}"
    elif (found := _OLD.fullmatch(text)) and found[2] == slash and found[1] in _ARCHIVES:
        archive, _, year, month, digits, version = found.groups()
        if "0703" < year + month < "9107":
            return None
        number = f"{archive}/{year}{month}{digits}"
    else:
        return None
    return PaperId(number, None if version is None else int(version))


def _advice(text: str) -> str:
    if re.fullmatch(r"[0-9]{3,4}\.[0-9]{1,4}", text):
        return (
            " such as 2209.00640; a program took it for a number and cut its zeros, so make the "
            "list anew with that column as text"
        )
    return " such as 2209.00647, 2209.00647v1 or cs/0112017"
