"""Text cut into a vocabulary's pieces as a folder's `tokenizer.json` describes it.

The file is a stranger's: only steps of known kinds are taken, only patterns that are known by heart
(another might never end), and nothing that is random.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from vicl.adapters.transformers_folder import library, read_json
from vicl.adapters.words import TOGETHER, VOCABULARY_LIMIT, is_vocabulary
from vicl.files import display, reason
from vicl.storage.folder import ModelError

_STEPS: Final = frozenset(
    {
        *("Sequence", "ByteLevel", "Digits", "Split", "Metaspace", "Prepend", "Replace"),
        *("NFC", "ByteFallback", "Fuse", "Strip"),
    }
)
_COMMON: Final = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_HEAD: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_PATTERNS: Final = frozenset({_HEAD + r"\p{N}" + _COMMON, _HEAD + r"\p{N}{1,3}" + _COMMON})
"""Of Qwen, and of Llama 3."""

_MOST_ADDED: Final = 2000
_MOST_WORDS: Final = 1 << 20


class Pieces:
    """Turns text into numbers, and back.

    Args:
        folder: With `tokenizer.json`.
        count: How many numbers the model knows.

    Raises:
        ModelError: If the file is missing, broken, has steps that are not known here, or more
            pieces than the model knows.
    """

    def __init__(self, folder: Path, count: int) -> None:
        path = folder / TOGETHER
        if not path.is_file():
            raise ModelError(
                f"{display(folder)}: has no {TOGETHER}, which text needs; get a whole copy of the "
                "model"
            )
        library()  # which brings the one that cuts text
        import tokenizers

        said = _checked(read_json(path, VOCABULARY_LIMIT), display(path))
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(json.dumps(said))
        except Exception as error:  # the library's errors share no base class but Exception
            raise ModelError(
                f"{display(path)}: its vocabulary cannot be used ({reason(error)}); get a whole "
                "copy"
            ) from error
        self._name = display(path)
        self.special = {str(one["content"]): int(one["id"]) for one in said["added_tokens"]}
        most = max([*said["model"]["vocab"].values(), *self.special.values()])
        if most >= count:
            raise ModelError(
                f"{self._name}: its vocabulary has more pieces than the model, which knows "
                f"{count}; get whole copies of both"
            )

    def __call__(self, text: str) -> list[int]:
        """Numbers of a text, which may hold marks of the model's own; nothing is added."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def text(self, numbers: Sequence[int]) -> str:
        """What numbers say, without the model's marks and space around it."""
        return str(self._tokenizer.decode(list(numbers), skip_special_tokens=True)).strip()

    def number(self, mark: str) -> int:
        """The number of a mark of the model's own.

        Raises:
            ModelError: If there is none.
        """
        if mark not in self.special:
            raise ModelError(
                f"{self._name}: has no {mark}, by which the model is asked; get a whole copy"
            )
        return self.special[mark]


def _checked(said: dict[str, Any], name: str) -> dict[str, Any]:
    """What of the file is known to be harmless.

    Raises:
        ModelError: If it has what is not known.
    """
    model = said.get("model")
    inner: dict[str, Any] = model if isinstance(model, dict) else {}
    vocabulary, merges = inner.get("vocab"), inner.get("merges")
    pairs = [_pair(one) for one in merges] if isinstance(merges, list) else [None]
    kind = inner.get("type", "BPE")
    if kind != "BPE" or not is_vocabulary(vocabulary) or None in pairs:
        raise ModelError(f"{name}: holds no vocabulary of pieces that are joined by pairs")
    if inner.get("dropout") or len(vocabulary) > _MOST_WORDS:
        raise ModelError(f"{name}: cuts text by chance, or has over a million words")
    flags = {
        key: value
        for key in ("unk_token", "fuse_unk", "byte_fallback", "ignore_merges")
        if isinstance(value := inner.get(key), bool | str)
    }
    return {
        "version": "1.0",
        "added_tokens": _added(said.get("added_tokens"), name),
        "normalizer": _step(said.get("normalizer"), name),
        "pre_tokenizer": _step(said.get("pre_tokenizer"), name),
        "decoder": _step(said.get("decoder"), name),
        "model": flags | {"type": "BPE", "vocab": vocabulary, "merges": pairs},
    }


def _pair(said: object) -> list[str] | None:
    """Two pieces that are joined, of which files have two spellings."""
    match said.split(" ") if isinstance(said, str) else said:
        case [str(one), str(other)]:
            return [one, other]
    return None


def _added(said: object, name: str) -> list[dict[str, Any]]:
    """The marks of the model's own."""
    found = []
    for one in said if isinstance(said, list) else []:
        content, number = (
            one.get(key) if isinstance(one, dict) else 0 for key in ("content", "id")
        )
        if not isinstance(content, str) or not content or type(number) is not int or number < 0:
            raise ModelError(f"{name}: added_tokens: expected words with their numbers")
        flags = {key: bool(one.get(key)) for key in ("single_word", "lstrip", "rstrip")}
        flags |= {"normalized": bool(one.get("normalized")), "special": bool(one.get("special"))}
        found.append({"id": number, "content": content, **flags})
    if len(found) > _MOST_ADDED:
        raise ModelError(f"{name}: added_tokens: got {len(found)}, expected at most {_MOST_ADDED}")
    return found


def _step(said: object, name: str, depth: int = 0) -> dict[str, Any] | None:
    """A step of cutting or joining, with those inside it."""
    if said is None:
        return None
    kind = said.get("type") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(kind, str) or kind not in _STEPS or depth > 2:
        raise ModelError(
            f"{name}: cuts text by {display(str(kind))[:40]!r}, which is not known here; expected "
            f"{', '.join(sorted(_STEPS))}"
        )
    found: dict[str, Any] = {}
    for key, value in said.items():
        if isinstance(value, list):
            found[key] = [_step(one, name, depth + 1) for one in value]
        elif isinstance(value, dict):
            match value:
                case {"String": str()} if len(value) == 1:
                    pass
                case {"Regex": str(pattern)} if pattern in _PATTERNS and len(value) == 1:
                    pass
                case _:
                    raise ModelError(f"{name}: cuts text by a pattern that is not known here")
            found[key] = value
        else:
            found[key] = value
    return found
