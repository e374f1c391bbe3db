"""Vocabularies in CLIP's own format, in which each of some words is one token."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

START, END = "<|startoftext|>", "<|endoftext|>"
"""The tokens before and behind each text."""


def merges_of(words: Mapping[str, int]) -> list[tuple[str, str]]:
    """Byte-pair merges by which each of some words of ASCII becomes one token.

    Source: Sennrich et al. 2016, arXiv:1508.07909, algorithm 1.

    Args:
        words: How often each comes.
    """
    pieces = {word: (*word[:-1], f"{word[-1]}</w>") for word in words}
    found = []
    while any(len(one) > 1 for one in pieces.values()):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in pieces.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        found.append(best)
        pieces = {word: _merged(parts, best) for word, parts in pieces.items()}
    return found


def _merged(parts: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    done: list[str] = []
    for part in parts:
        if done and (done[-1], part) == pair:
            done[-1] += part
        else:
            done.append(part)
    return tuple(done)


def write_vocabulary(folder: Path, texts: Iterable[str]) -> int:
    """Write vocab.json and merges.txt, in which each word of some texts is a token.

    All other text of printable ASCII is spelt in letters. The last two tokens are those of a text's
    start and end. Gives how many there are.
    """
    merges = merges_of(Counter(word for text in texts for word in re.findall("[a-z]+", text)))
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*letters, *(f"{one}</w>" for one in letters), *("".join(pair) for pair in merges)]
    known = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    known |= {START: len(known), END: len(known) + 1}
    write_files(folder, known, merges)
    return len(known)


def write_files(
    folder: Path, vocabulary: Mapping[str, int], merges: Iterable[tuple[str, str]]
) -> None:
    """Write a vocabulary as CLIP's folders have it."""
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
