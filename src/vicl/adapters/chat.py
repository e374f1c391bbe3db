"""How vision-language models want a conversation of photographs and words written down.

A folder's own template is a program of a stranger's, and is not run: each family's stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tiles:
    """How many places of the text one photograph takes.

    Attributes:
        count: Places of one tile, or of the whole photograph where it is not cut.
        rows: Rows of tiles; 0 where it is not cut.
        columns: Likewise.
    """

    count: int
    rows: int = 0
    columns: int = 0


@dataclass(frozen=True)
class Chat:
    """A family's way of writing examples and a question.

    Attributes:
        starts: What a text begins with: the first whose words the model knows.
        asked: Before what a person shows and asks.
        answered: Before what the model answers.
        gap: Between that and the answer.
        end: After what each of them says.
        image: The place of a photograph, as the model knows it.
        expand: What stands for a photograph.
    """

    starts: tuple[str, ...]
    asked: str
    answered: str
    gap: str
    end: str
    image: str
    expand: Callable[[Tiles], str]

    def text(
        self,
        start: str,
        tiles: Sequence[Tiles],
        answers: Sequence[str],
        question: str | None,
        *,
        apart: str = "",
    ) -> str:
        """The whole prompt, up to where the answer begins.

        Args:
            start: One of `starts`.
            tiles: Of the examples' photographs, in order, and of the query.
            answers: The examples' own.
            question: Asked of each photograph; None: nothing is asked.
            apart: Between a photograph and a word right after it.
        """
        asked = question or ""
        apart = apart if asked and not asked[0].isspace() and asked[0] != "<" else ""
        shown = [f"{self.asked}{self.expand(one)}{apart}{asked}{self.tail}" for one in tiles]
        told = [f"{self.answer(answer)}\n" for answer in answers]
        return start + "".join(a + b for a, b in zip(shown, [*told, ""], strict=True))

    @property
    def tail(self) -> str:
        """What follows a question, up to the answer."""
        return f"{self.end}\n{self.answered}"

    def answer(self, text: str) -> str:
        """What follows :attr:`tail` where the answer is `text`."""
        return f"{self.gap}{text}{self.end}"


_FAKE = "<fake_token_around_image>"


def _idefics2(tiles: Tiles) -> str:
    """The photograph, or its quarters and itself; places of one tile stand between two marks."""
    one = "<image>" * tiles.count + _FAKE
    return _FAKE + one * (5 if tiles.rows else 1)


def _idefics3(tiles: Tiles) -> str:
    """The tiles, row by row with their places, and the whole photograph."""
    places = "<image>" * tiles.count
    rows = "".join(
        "".join(
            f"{_FAKE}<row_{row}_col_{column}>{places}" for column in range(1, tiles.columns + 1)
        )
        + "\n"
        for row in range(1, tiles.rows + 1)
    )
    return f"{rows}{chr(10) if rows else ''}{_FAKE}<global-img>{places}{_FAKE}"


def _qwen(tiles: Tiles) -> str:
    return f"<|vision_start|>{'<|image_pad|>' * tiles.count}<|vision_end|>"


def _of_idefics(starts: tuple[str, ...], expand: Callable[[Tiles], str]) -> Chat:
    said = ("User:", "Assistant:", " ", "<end_of_utterance>", "<image>")
    return Chat(starts, *said, expand)


def _of_qwen(start: str) -> Chat:
    said = ("<|im_start|>user\n", "<|im_start|>assistant\n", "", "<|im_end|>", "<|image_pad|>")
    return Chat((start,), *said, _qwen)


IDEFICS2 = _of_idefics(("<s>",), _idefics2)
IDEFICS3 = _of_idefics(("<|begin_of_text|>", "<|im_start|>"), _idefics3)
"""Of Idefics 3 and SmolVLM, whose first calls itself an Idefics 3."""
QWEN2_5 = _of_qwen("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")
QWEN3 = _of_qwen("")
