"""What the package holds that is not its code: weights, photographs, other people's scripts."""

from __future__ import annotations

import re
from dataclasses import dataclass

LICENCES = {"CC0": "CC0-1.0", "CC0 1.0": "CC0-1.0", "CC BY 4.0": "CC-BY-4.0"}
"""SPDX's names of those that the photographs' list has."""

OWN = "Apache-2.0"

VENDORED = "vicl/app/static/vendor/"
"""Where other people's scripts are in a wheel."""


@dataclass(frozen=True)
class Photograph:
    """A photograph that comes with the package, or what was drawn for one.

    Attributes:
        file: Its name in `photos/`.
        author: Whose work it is.
        licence: In SPDX's words where SPDX has it.
        source: The package and file that it is from; how it was made, if it was drawn for vicl.
    """

    file: str
    author: str
    licence: str
    source: str


def photographs(listed: str, files: list[str]) -> list[Photograph]:
    """Whose each file of `photos/` is, by the table in its README.

    Args:
        listed: The README.
        files: The names of all pictures there.

    Raises:
        ValueError: If one is neither in the table nor made of one that is.
    """
    rows: dict[str, Photograph] = {}
    source = author = licence = ""
    for line in listed.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        names = re.findall(r"^`([\w.]+)`$", cells[0])
        if len(cells) != 6 or not names:
            continue
        package = source.partition(",")[0]
        if cells[2] != "same":
            source = cells[2].replace("`", "").replace("same package", package)
        author = author if cells[3] == "same" else cells[3]
        if cells[4] != "same":
            said = re.sub(r" \[\d\]$", "", cells[4])
            licence = LICENCES.get(said, said)
        rows[names[0]] = Photograph(names[0], author, licence, source)
    found = []
    for file in sorted(files):
        negative = rows.get(file.replace("_negative", ""))
        if file in rows:
            found.append(rows[file])
        elif negative is not None:
            made = f"the negative of {negative.file}"
            found.append(Photograph(file, negative.author, negative.licence, made))
        elif file.endswith(("_mask.png", "_edges.png")):
            found.append(Photograph(file, "The vicl authors", OWN, "drawn for vicl"))
        else:
            raise ValueError(f"photos/README.md: says nothing of {file}; add a row for it")
    return found


def licence_of_card(card: str) -> str:
    """The licence of weights, as their model card has it.

    Raises:
        ValueError: If it has none.
    """
    said = re.search(r"\A---\n(?:.*\n)*?license: (\S+)\n(?:.*\n)*?---\n", card)
    if said is None:
        raise ValueError("a model card has no line `license:`; add it")
    return OWN if said[1] == OWN.lower() else said[1]


def konva_version(script: str) -> str:
    """The version of the script that the app's page draws with."""
    said = re.search(r"Konva JavaScript Framework v([\d.]+)", script)
    if said is None:
        raise ValueError("konva.min.js: says no version")
    return said[1]
