"""In-context vision-language models: photographs with texts, and a query, to a text.

Idefics 2 and 3, SmolVLM, Qwen2.5-VL and Qwen3-VL, of the family that Flamingo began (Alayrac et
al., "Flamingo: a Visual Language Model for Few-Shot Learning", NeurIPS 2022).
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from vicl.adapters.chat import IDEFICS2, IDEFICS3, QWEN2_5, QWEN3, Chat, Tiles
from vicl.adapters.pieces import Pieces
from vicl.adapters.transformers_folder import (
    CLIP,
    HALF,
    Architecture,
    Colours,
    build,
    colours_of,
    library,
    open_folder,
)
from vicl.files import display
from vicl.images import ImageLike, to_levels
from vicl.prompt import Example, ExampleLike, as_examples
from vicl.storage.folder import CONFIG, WEIGHTS, ModelError
from vicl.storage.sharded import hash_weights

_PLACES: Final = {False: 512, True: 2048}
"""Qwen: most places of the text that a photograph takes, without and with `detail`."""

_LEAST_PLACES: Final = 4

_ENDS: Final = ("</s>", "<|end_of_text|>", "<|endoftext|>")
"""Marks that end all text, whoever says it."""

_Looks = tuple[dict[str, Tensor], list[Tiles]]
"""What a model sees of photographs, and the places that they take."""


@dataclass(frozen=True)
class Reply:
    """What a model answers.

    Attributes:
        text: Its words; of `choices` the likeliest.
        choices: Of each choice the chance that it is the answer, if it is one of them: they add up
            to 1, in the order in which they were given. Empty where none were.
    """

    text: str
    choices: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Family:
    """How models of a kind are made, shown photographs and asked.

    Attributes:
        architecture: Of which classes it is.
        colours: How it wants them, where its folder says nothing.
        chat: How it is asked.
        looks: Prepares photographs: of the model's configuration, its colours, and `detail`.
    """

    architecture: Architecture
    colours: Colours
    chat: Chat
    looks: Callable[[Any, Colours, Sequence[Image.Image], bool], _Looks]


def _normal(colours: Colours) -> dict[str, Any]:
    return {"image_mean": list(colours[0]), "image_std": list(colours[1])}


def _idefics2(config: Any, colours: Colours, photos: Sequence[Image.Image], detail: bool) -> _Looks:
    side = config.vision_config.image_size
    prepare = library().Idefics2ImageProcessorPil(
        size={"shortest_edge": side * 378 // 980, "longest_edge": side},
        do_image_splitting=detail,
        **_normal(colours),
    )
    places = config.perceiver_config.resampler_n_latents
    tiles = [Tiles(places, 2 * detail, 2 * detail)] * len(photos)
    return dict(prepare(images=[list(photos)], return_tensors="pt")), tiles


def _idefics3(config: Any, colours: Colours, photos: Sequence[Image.Image], detail: bool) -> _Looks:
    side = config.vision_config.image_size
    prepare = library().Idefics3ImageProcessorPil(
        size={"longest_edge": 4 * side},
        max_image_size={"longest_edge": side},
        do_image_splitting=detail,
        return_row_col_info=True,
        **_normal(colours),
    )
    seen = dict(prepare(images=[list(photos)], return_tensors="pt"))
    rows, columns = seen.pop("rows")[0], seen.pop("cols")[0]
    places = (side // config.vision_config.patch_size) ** 2 // config.scale_factor**2
    return seen, [Tiles(places, int(r), int(c)) for r, c in zip(rows, columns, strict=True)]


def _qwen(config: Any, colours: Colours, photos: Sequence[Image.Image], detail: bool) -> _Looks:
    vision = config.vision_config
    place = (vision.patch_size * vision.spatial_merge_size) ** 2
    prepare = library().Qwen2VLImageProcessorPil(
        size={"shortest_edge": _LEAST_PLACES * place, "longest_edge": _PLACES[detail] * place},
        patch_size=vision.patch_size,
        merge_size=vision.spatial_merge_size,
        temporal_patch_size=vision.temporal_patch_size,
        **_normal(colours),
    )
    seen = dict(prepare(images=list(photos), return_tensors="pt"))
    counts = seen["image_grid_thw"].prod(1) // vision.spatial_merge_size**2
    return seen, [Tiles(int(count)) for count in counts]


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many numbers two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _architecture(name: str) -> Architecture:
    return Architecture(f"{name}Config", f"{name}ForConditionalGeneration")


_FAMILIES: Final = {
    "idefics2": _Family(_architecture("Idefics2"), HALF, IDEFICS2, _idefics2),
    "idefics3": _Family(_architecture("Idefics3"), HALF, IDEFICS3, _idefics3),
    "smolvlm": _Family(_architecture("SmolVLM"), HALF, IDEFICS3, _idefics3),
    "qwen2_5_vl": _Family(_architecture("Qwen2_5_VL"), CLIP, QWEN2_5, _qwen),
    "qwen3_vl": _Family(_architecture("Qwen3VL"), HALF, QWEN3, _qwen),
}
"""By model_type."""


class VisionLanguage:
    """A vision-language model of the transformers library.

    It computes in float32 on a CPU and in bfloat16 elsewhere. Its folder's vocabulary is read; the
    template of its conversations and the preparation of images are vicl's and the library's own.

    Args:
        folder: With `config.json`, `model.safetensors` (or an index and its files) and
            `tokenizer.json`.
        name: How it is called; None takes the folder's name.
        device: Where it runs.

    Raises:
        ModelError: If transformers is not installed, or the folder is broken or of another kind.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        path = Path(folder)
        family, fields = open_folder(path, _FAMILIES, "a vision-language model")
        if "text_config" not in fields and "hidden_size" in fields:
            fields = fields | {"text_config": fields}  # as Qwen2.5-VL was first published
        self.name = path.resolve().name if name is None else name
        self.weights_hash: str | None = hash_weights(path, WEIGHTS)
        self._family, self._colours = family, colours_of(path, family.colours)
        dtype = torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
        self._model = build(family.architecture, fields, path, device=device, dtype=dtype)
        self._config = self._model.config
        text = self._config.text_config
        self._pieces = Pieces(path, text.vocab_size)
        chat = family.chat
        self._end, seen = (self._pieces.number(mark) for mark in (chat.end, chat.image))
        if seen != self._config.image_token_id:
            raise ModelError(
                f"{display(path / CONFIG)}: image_token_id: got {self._config.image_token_id}, but "
                f"the vocabulary has {chat.image} at {seen}; get whole copies of both"
            )
        starts = [s for s in chat.starts if s.partition(">")[0] + ">" in self._pieces.special]
        self._start = starts[0] if starts else chat.starts[0]
        # Some vocabularies take a word right after a mark for the middle of one.
        alone, after = self._pieces("a"), self._pieces(f"{chat.end}a")[1:]
        self._apart = "" if after == alone else " "
        known = self._pieces.special
        self._ends = [self._end, *(known[mark] for mark in _ENDS if mark in known)]

    def __repr__(self) -> str:
        return f"VisionLanguage({self.name!r})"

    def ask(
        self,
        image: ImageLike,
        *,
        examples: Iterable[ExampleLike] = (),
        question: str | None = None,
        choices: Sequence[str] = (),
        max_tokens: int = 64,
        temperature: float = 0.0,
        seed: int = 0,
        detail: bool = False,
    ) -> Reply:
        """Answer one photograph as the examples show.

        Args:
            image: The query.
            examples: Photographs with their texts, in the order in which they are shown.
            question: Asked of every photograph; without one the examples alone say what is wanted.
            choices: What the answer may be: it is the one that is likeliest word for word, its end
                among them. Nothing is random then.
            max_tokens: Most pieces of words of an answer without choices.
            temperature: 0 takes the likeliest piece each time; above 0 pieces are drawn, below 1
                nearer to that, above 1 more varied.
            seed: Of what is drawn.
            detail: Photographs are also seen in tiles or larger: finer, and several times as long.

        Raises:
            ValueError: If an example's output is no text, a text holds a mark of the model's own,
                there is neither an example nor a question, or all of it is too long.
            ImageError: If a photograph cannot be read.
        """
        given = list(examples)
        shown = as_examples(given) if given else ()
        self._check(shown, question, choices, max_tokens, temperature)
        inputs = self.inputs(image, shown, question, detail=detail)
        longest = self._config.text_config.max_position_embeddings
        if inputs["input_ids"].shape[1] + max_tokens > longest:
            raise ValueError(
                f"{self.name}: the prompt takes {inputs['input_ids'].shape[1]} places, and the "
                f"answer up to {max_tokens}, of the {longest} that the model has; give fewer "
                "examples, or less detail"
            )
        if choices:
            return self._chosen(inputs, choices)
        return Reply(self._written(inputs, max_tokens, temperature, seed))

    def inputs(
        self,
        image: ImageLike,
        examples: Sequence[Example],
        question: str | None,
        *,
        detail: bool = False,
    ) -> dict[str, Tensor]:
        """What the model reads: the text's numbers, and what it sees of the photographs.

        Args:
            image: The query.
            examples: Whose outputs are texts.
            question: See :meth:`ask`.
            detail: Likewise.
        """
        photos = [*(one.input for one in examples), image]
        pictures = [Image.fromarray(to_levels(photo)) for photo in photos]
        seen, tiles = self._family.looks(self._config, self._colours, pictures, detail)
        answers = [str(one.output) for one in examples]
        text = self._family.chat.text(self._start, tiles, answers, question, apart=self._apart)
        numbers = torch.tensor([self._pieces(text)])
        seen |= {"input_ids": numbers, "attention_mask": torch.ones_like(numbers)}
        if "image_grid_thw" in seen:
            seen["mm_token_type_ids"] = (numbers == self._config.image_token_id).long()
        dtype, device = self._model.dtype, self._model.device
        return {
            key: value.to(device, dtype if value.is_floating_point() else None)
            for key, value in seen.items()
        }

    def _check(
        self,
        examples: Sequence[Example],
        question: str | None,
        choices: Sequence[str],
        max_tokens: int,
        temperature: float,
    ) -> None:
        if not examples and not question:
            raise ValueError("ask: got neither examples nor a question, expected one of them")
        texts = {"question": question or "-"}
        texts |= {f"choices[{at}]": choice for at, choice in enumerate(choices)}
        for at, example in enumerate(examples):
            if not isinstance(example.output, str):
                raise ValueError(
                    f"examples[{at}]: its output is a {type(example.output).__name__}, expected "
                    "its answer as text"
                )
            if choices and example.output not in choices:
                raise ValueError(
                    f"examples[{at}]: its answer {example.output[:80]!r} is none of the choices"
                )
            texts[f"examples[{at}]"] = example.output
        for name, text in texts.items():
            if not text.strip():
                raise ValueError(f"{name}: got an empty text")
            mark = next((mark for mark in self._pieces.special if mark in text), None)
            if mark is not None:
                raise ValueError(f"{name}: holds {mark}, a mark of the model's own; leave it out")
        if len(choices) == 1 or len(set(choices)) < len(choices):
            raise ValueError("choices: expected two or more that differ")
        if max_tokens < 1 or not 0 <= temperature < math.inf:
            raise ValueError("max_tokens: expected at least 1; temperature: at least 0")

    @torch.inference_mode()
    def _written(
        self, inputs: dict[str, Tensor], max_tokens: int, temperature: float, seed: int
    ) -> str:
        how: dict[str, Any] = {"do_sample": False}
        if temperature:
            how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        device = self._model.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            out = self._model.generate(
                **inputs,
                **how,
                max_new_tokens=max_tokens,
                eos_token_id=self._ends,
                pad_token_id=self._end,
            )
        return self._pieces.text(out[0, inputs["input_ids"].shape[1] :].tolist())

    @torch.inference_mode()
    def _chosen(self, inputs: dict[str, Tensor], choices: Sequence[str]) -> Reply:
        chat = self._family.chat
        tail = self._pieces(chat.tail)
        wholes = [self._pieces(chat.tail + chat.answer(choice)) for choice in choices]
        # A word may be cut otherwise where another follows, so all are compared from one place on.
        common = min(_common(tail, whole) for whole in wholes)
        length = inputs["input_ids"].shape[1] - len(tail) + common
        cut = {"input_ids", "attention_mask", "mm_token_type_ids"}
        begun = {key: v[:, :length] if key in cut else v for key, v in inputs.items()}
        out = self._model(**begun, use_cache=True)
        scores = torch.stack([self._likelihood(out, whole[common:]) for whole in wholes]).softmax(0)
        best = int(scores.argmax())
        return Reply(choices[best], dict(zip(choices, scores.tolist(), strict=True)))

    def _likelihood(self, begun: Any, rest: Sequence[int]) -> Tensor:
        """Log-likelihood of what goes on, in float64."""
        numbers: Int[Tensor, "1 n"] = torch.tensor([rest], device=self._model.device)
        logits = begun.logits[:, -1:]
        if len(rest) > 1:
            more = self._model(
                input_ids=numbers[:, :-1],
                past_key_values=copy.deepcopy(begun.past_key_values),
            )
            logits = torch.cat([logits, more.logits], 1)
        chances = logits[0].double().log_softmax(-1)
        likelihood: Tensor = chances.gather(1, numbers[0, :, None]).sum()
        return likelihood
