"""The plain text of what TeX sets: captions, labels of columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

LONGEST_TEXT: Final = 10_000
"""Characters of a caption."""

_SYMBOLS: Final[Mapping[str, str]] = {
    "\\ ": " ", "\\,": " ", "\\;": " ", "\\:": " ", "\\!": "", "\\quad": " ", "\\qquad": " ",
    "\\%": "%", "\\&": "&", "\\#": "#", "\\_": "_", "\\$": "$", "\\{": "{", "\\}": "}",
    "\\\\": " ", "\\par": " ", "\\newline": " ", "\\space": " ", "\\nobreakspace": " ",
    "\\-": "", "\\/": "", "\\@": "",
    "\\times": "×", "\\pm": "±", "\\cdot": "·", "\\rightarrow": "→", "\\to": "→",
    "\\leftarrow": "←", "\\uparrow": "↑", "\\downarrow": "↓", "\\leftrightarrow": "↔",
    "\\Rightarrow": "⇒", "\\leq": "≤", "\\le": "≤", "\\geq": "≥", "\\ge": "≥", "\\neq": "≠",
    "\\approx": "≈", "\\sim": "~", "\\infty": "∞", "\\in": "∈", "\\ldots": "…", "\\dots": "…",
    "\\cdots": "…", "\\textellipsis": "…", "\\ell": "ℓ", "\\circ": "°", "\\degree": "°",
    "\\dagger": "†", "\\ddagger": "‡", "\\star": "★", "\\ast": "*", "\\bullet": "•",
    "\\checkmark": "✓", "\\prime": "'", "\\nabla": "∇", "\\partial": "∂", "\\sum": "∑",
    "\\ss": "ß", "\\ae": "æ", "\\AE": "Æ", "\\oe": "œ", "\\OE": "Œ", "\\o": "ø", "\\O": "Ø",
    "\\aa": "å", "\\AA": "Å", "\\l": "ł", "\\L": "Ł", "\\i": "ı", "\\j": "ȷ", "\\S": "§",
    "\\textbackslash": "\\", "\\textasciitilde": "~", "\\textendash": "–", "\\textemdash": "—",
    "\\textrightarrow": "→", "\\copyright": "©", "\\slash": "/", "\\ie": "i.e.", "\\eg": "e.g.",
    "\\etal": "et al.", "\\vs": "vs.", "\\etc": "etc.", "\\wrt": "w.r.t.",
}  # fmt: skip

_ACCENTS: Final[Mapping[str, str]] = {
    "\\'": "\u0301", "\\`": "\u0300", "\\^": "\u0302", '\\"': "\u0308", "\\~": "\u0303",
    "\\=": "\u0304", "\\.": "\u0307", "\\c": "\u0327", "\\v": "\u030c", "\\u": "\u0306",
    "\\H": "\u030b", "\\r": "\u030a", "\\k": "\u0328",
}  # fmt: skip

# Control sequences of which an argument, or several, is no text.
UNSEEN: Final[Mapping[str, int]] = {
    "\\label": 1, "\\cite": 1, "\\citep": 1, "\\citet": 1, "\\citealp": 1, "\\citealt": 1,
    "\\citeauthor": 1, "\\citeyear": 1, "\\ref": 1, "\\eqref": 1, "\\cref": 1, "\\Cref": 1,
    "\\autoref": 1, "\\subref": 1, "\\nameref": 1, "\\figref": 1, "\\footnote": 1,
    "\\footnotetext": 1, "\\color": 1, "\\textcolor": 1, "\\colorbox": 1, "\\definecolor": 3,
    "\\rowcolor": 1, "\\cellcolor": 1, "\\columncolor": 1, "\\arrayrulecolor": 1,
    "\\vspace": 1, "\\hspace": 1, "\\rule": 2, "\\phantom": 1, "\\hphantom": 1, "\\vphantom": 1,
    "\\setlength": 2, "\\addtolength": 2, "\\settowidth": 2, "\\settoheight": 2,
    "\\newlength": 1, "\\setcounter": 2, "\\addtocounter": 2, "\\newcounter": 1,
    "\\refstepcounter": 1, "\\stepcounter": 1, "\\captionsetup": 1, "\\fontsize": 2,
    "\\linespread": 1, "\\href": 1, "\\hypersetup": 1, "\\hypertarget": 1, "\\index": 1,
    "\\pagestyle": 1, "\\thispagestyle": 1, "\\usetikzlibrary": 1, "\\includegraphics": 1,
    "\\cline": 1, "\\cmidrule": 1, "\\graphicspath": 1, "\\floatsetup": 1, "\\setkeys": 2,
    "\\phantomcaption": 0, "\\subfiguretopcaptrue": 0, "\\extrarowheight": 0,
}  # fmt: skip


@lru_cache(maxsize=1024)
def symbol(token: str) -> str | None:
    """What a control sequence shows by itself: a Greek letter, an arrow; None: nothing known."""
    known = _SYMBOLS.get(token)
    if known is not None or not token[1:].isalpha() or len(token) > 12:
        return known
    name = token[1:].removeprefix("var")
    case = "CAPITAL" if name[:1].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {case} LETTER {name.replace('ambda', 'amda')}")
    except KeyError:
        return None


def accent(token: str) -> str | None:
    """The combining character that a control sequence puts over the next letter."""
    return _ACCENTS.get(token)


def plain(parts: Sequence[str]) -> str:
    """Tokens as text, with single blanks.

    References and citations are left out, as are commands whose sense is not known; what they
    are applied to stays.  At most `LONGEST_TEXT` characters.
    """
    found: list[str] = []
    length, at, over = 0, 0, ""
    while at < len(parts) and length < LONGEST_TEXT:
        token = parts[at]
        at += 1
        if token in UNSEEN:
            at = after_arguments(parts, at, UNSEEN[token])
            continue
        if token in _ACCENTS:
            over = _ACCENTS[token]
            continue
        if token == "~":
            text = " "
        elif token[0] == "\\":
            text = symbol(token) or ""
        elif token in ("{", "}", "$", "^", "_", "#"):
            continue
        else:
            text = token
        if over and text.strip():
            text, over = unicodedata.normalize("NFC", text[0] + over) + text[1:], ""
        found.append(text)
        length += len(text)
    text = "".join(found).replace("---", "—").replace("--", "–")
    text = text.replace("``", "“").replace("''", "”")
    return " ".join(text.split())[:LONGEST_TEXT]


def after_arguments(parts: Sequence[str], at: int, count: int) -> int:
    """Where the arguments of a command end that begin at a place, those in brackets too."""
    while at < len(parts) and count > 0:
        token = parts[at]
        if token in (" ", "*"):
            at += 1
        elif token == "[":
            end = closing(parts, at, most=100)
            if end is None:
                return at
            at = end + 1
        elif token == "{":
            end = closing(parts, at)
            if end is None:
                return len(parts)
            at, count = end + 1, count - 1
        else:
            break
    return at


def closing(parts: Sequence[str], at: int, *, most: int = 1000) -> int | None:
    """The place of the brace or bracket that ends what begins at a place; None: it never ends.

    A bracket is to end within `most` tokens, since every one that does not would be sought anew.
    """
    bracket = parts[at] == "["
    last = min(len(parts), at + most) if bracket else len(parts)
    depth = 0
    for place in range(at + bracket, last):
        token = parts[place]
        if token == "]" and bracket and depth == 0:
            return place
        depth += (token == "{") - (token == "}")
        if depth == 0 and not bracket:
            return place
        if depth < 0:
            return None
    return None
