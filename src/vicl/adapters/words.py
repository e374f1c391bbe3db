"""Words as the numbers that a model reads, from the vocabulary in its folder.

Only the vocabulary is taken of a stranger's files, never the steps by which they want text cut:
those are the library's own for the kind of model.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final, TypeGuard

import torch
from jaxtyping import Int
from torch import Tensor

from vicl.adapters.transformers_folder import library, read_json
from vicl.files import display, reason
from vicl.files.bounded import read_bounded
from vicl.storage.folder import ModelError

TOGETHER: Final = "tokenizer.json"
"""A file of a whole vocabulary, and of how text is cut."""

_VOCABULARY, _MERGES, _LINES = "vocab.json", "merges.txt", "vocab.txt"

VOCABULARY_LIMIT: Final = 32 << 20
"""Most bytes of such files."""


class Words:
    """Turns text into numbers.

    Args:
        folder: With `tokenizer.json`, which T5 needs; or `vocab.json` and `merges.txt` (CLIP), or
            `vocab.txt` (BERT).
        kind: Whose steps are taken.
        count: How many numbers the model knows.
        most: How many it reads at once.

    Raises:
        ModelError: If the files are missing or broken, or name more than the model knows.
    """

    def __init__(self, folder: Path, kind: str, *, count: int, most: int) -> None:
        self._name, self._count, self._most = display(folder), count, most
        self._tokenizer = tokenizer(folder, kind)

    @classmethod
    def of_clip(cls, folder: Path, config: Any) -> Words:
        """Those of a model's CLIP.

        Args:
            folder: As above.
            config: Of the part that reads.
        """
        return cls(folder, "clip", count=config.vocab_size, most=config.max_position_embeddings)

    def __call__(self, text: str) -> Int[Tensor, "1 n"]:
        """Numbers of a text, with those of its start and end; what is too long is cut off.

        Raises:
            ModelError: If one is none that the model knows.
        """
        numbers = self._tokenizer(text, truncation=True, max_length=self._most)["input_ids"]
        if max(numbers) >= self._count:
            raise ModelError(
                f"{self._name}: its vocabulary has more words than the model, which knows "
                f"{self._count}; get whole copies of both"
            )
        return torch.tensor([numbers])


def tokenizer(folder: Path, kind: str) -> Any:
    """The library's tokenizer of a kind, with a folder's vocabulary.

    Args:
        folder: See :class:`Words`.
        kind: Likewise.

    Raises:
        ModelError: If the files are missing or broken.
    """
    transformers = library()
    if kind == "t5":
        return _unigram(folder, transformers)
    vocabulary, merges = _read(folder, kind)
    try:
        if kind == "clip":
            return transformers.CLIPTokenizer(vocab=vocabulary, merges=merges)
        return transformers.BertTokenizer(vocab=vocabulary)
    except Exception as error:  # the library's errors share no base class but Exception
        raise ModelError(
            f"{display(folder)}: its vocabulary cannot be used ({reason(error)}); get a whole copy"
        ) from error


def _read(folder: Path, kind: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The vocabulary, and which pieces are joined, first the most frequent."""
    if (folder / TOGETHER).is_file():
        path = folder / TOGETHER
        model = read_json(path, VOCABULARY_LIMIT).get("model")
        said: dict[str, Any] = model if isinstance(model, dict) else {}
        vocabulary, merges = said.get("vocab"), said.get("merges", [])
    elif kind == "clip" and (folder / _VOCABULARY).is_file() and (folder / _MERGES).is_file():
        path = folder / _VOCABULARY
        vocabulary, merges = read_json(path, VOCABULARY_LIMIT), _lines(folder / _MERGES)
    elif kind == "bert" and (folder / _LINES).is_file():
        path = folder / _LINES
        vocabulary, merges = {word: at for at, word in enumerate(_lines(path))}, []
    else:
        files = f"{_VOCABULARY} and {_MERGES}" if kind == "clip" else _LINES
        raise ModelError(
            f"{display(folder)}: has no vocabulary, which text needs; expected {TOGETHER}, or "
            f"{files}; get a whole copy of the model"
        )
    pairs = [_pair(one) for one in merges] if isinstance(merges, list) else [None]
    if not is_vocabulary(vocabulary) or None in pairs:
        raise ModelError(f"{display(path)}: holds no vocabulary of words and their numbers")
    return vocabulary, [one for one in pairs if one]


def _unigram(folder: Path, transformers: Any) -> Any:
    """The library's tokenizer of T5, whose words have scores."""
    path = folder / TOGETHER
    if not path.is_file():
        raise ModelError(
            f"{display(folder)}: has no {TOGETHER}, which text needs; get a whole copy of the model"
        )
    model = read_json(path, VOCABULARY_LIMIT).get("model")
    said = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(said, list) or not said or not all(map(_is_scored, said)):
        raise ModelError(f"{display(path)}: holds no vocabulary of words and their scores")
    try:
        return transformers.T5Tokenizer(vocab=[(word, float(score)) for word, score in said])
    except Exception as error:  # as above
        raise ModelError(
            f"{display(folder)}: its vocabulary cannot be used ({reason(error)}); get a whole copy"
        ) from error


def _is_scored(said: object) -> bool:
    match said:
        case [str(), float(score)] if math.isfinite(score):
            return True
        case [str(), int(score)]:
            return abs(score) < 1 << 30
    return False


def _lines(path: Path) -> list[str]:
    try:
        text = read_bounded(path, VOCABULARY_LIMIT, ModelError).decode()
    except UnicodeDecodeError as error:
        raise ModelError(f"{display(path)}: is no text ({reason(error)})") from error
    return [line for line in text.splitlines() if not line.startswith("#version")]


def _pair(said: object) -> tuple[str, str] | tuple[()] | None:
    """A joined pair, of which files have two spellings; empty for an empty line."""
    match said.split() if isinstance(said, str) else said:
        case []:
            return ()
        case [str(one), str(other)]:
            return one, other
    return None


def is_vocabulary(said: object) -> TypeGuard[dict[str, int]]:
    """Whether something from a file is words with a number each."""
    if not isinstance(said, dict) or not said:
        return False
    return all(type(number) is int and number >= 0 for number in said.values())
