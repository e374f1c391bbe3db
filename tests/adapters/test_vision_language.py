"""Vision-language models: what they read, to the number, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.adapters import talking
from tests.adapters.bodies import library

import vicl
from vicl.adapters.vision_language import VisionLanguage
from vicl.prompt import Example
from vicl.storage.folder import ModelError

transformers = library()

PHOTO = np.random.default_rng(0).integers(0, 255, (40, 90, 3), dtype=np.uint8)
OTHER = PHOTO[:30, :36].copy()
SHOWN = (Example(OTHER, "cat"), Example(PHOTO, "a dog"))
KINDS = tuple(talking.MARKS)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[VisionLanguage, Any]]:
    root = tmp_path_factory.mktemp("talking")
    made = {kind: talking.save(kind, root / kind) for kind in KINDS}
    return {kind: (vicl.load_vlm(root / kind, device="cpu"), model) for kind, model in made.items()}


def library_inputs(kind: str, chat: str, detail: bool) -> dict[str, Any]:
    """What the library's own processor makes of a conversation, with the tokenizer of the folder.

    SmolVLM's needs packages that are not there; its text is that of Idefics 3.
    """
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=talking.words(kind))
    photos = [Image.fromarray(photo) for photo in (OTHER, PHOTO, PHOTO)]
    if kind == "idefics2":
        looks = transformers.Idefics2ImageProcessorPil(
            size={"shortest_edge": 12, "longest_edge": 32}, do_image_splitting=detail
        )
        process = transformers.Idefics2Processor(looks, wrapped, image_seq_len=3)
    else:
        looks = transformers.Idefics3ImageProcessorPil(
            size={"longest_edge": 128},
            max_image_size={"longest_edge": 32},
            do_image_splitting=detail,
        )
        process = transformers.Idefics3Processor(looks, wrapped, image_seq_len=4)
    return dict(process(text=chat, images=[photos], return_tensors="pt", add_special_tokens=False))


@pytest.mark.parametrize("detail", [False, True])
@pytest.mark.parametrize("kind", ["idefics2", "idefics3", "smolvlm"])
def test_the_text_is_that_of_the_librarys_processor(
    kind: str, detail: bool, zoo: dict[str, tuple[VisionLanguage, Any]]
) -> None:
    start = {"idefics2": "<s>", "idefics3": "<|begin_of_text|>", "smolvlm": "<|im_start|>"}[kind]
    chat = (
        f"{start}User:<image>What?<end_of_utterance>\nAssistant: cat<end_of_utterance>\n"
        "User:<image>What?<end_of_utterance>\nAssistant: a dog<end_of_utterance>\n"
        "User:<image>What?<end_of_utterance>\nAssistant:"
    )
    wanted = library_inputs(kind, chat, detail)
    found = zoo[kind][0].inputs(PHOTO, SHOWN, "What?", detail=detail)
    assert set(found) == {"input_ids", "attention_mask", "pixel_values", "pixel_attention_mask"}
    for key, value in found.items():
        assert torch.equal(value, wanted[key]), key


@pytest.mark.parametrize("kind", ["qwen2_5_vl", "qwen3_vl"])
def test_qwen_reads_its_marks_and_as_many_places_as_the_photograph_has(
    kind: str, zoo: dict[str, tuple[VisionLanguage, Any]]
) -> None:
    found = zoo[kind][0].inputs(PHOTO, SHOWN[:1], "What?")
    # 30 x 36 px are 4 x 4 places of 8 px (ties go to the even), 40 x 90 px are 5 x 11.
    shown, asked = (f"<|vision_start|>{'<|image_pad|>' * n}<|vision_end|>" for n in (16, 55))
    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    text = (
        f"{system if kind == 'qwen2_5_vl' else ''}<|im_start|>user\n{shown}What?<|im_end|>\n"
        f"<|im_start|>assistant\ncat<|im_end|>\n<|im_start|>user\n{asked}What?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert found["input_ids"].tolist() == [talking.words(kind).encode(text).ids]
    assert found["mm_token_type_ids"].sum() == 16 + 55
    assert found["image_grid_thw"].tolist() == [[1, 8, 8], [1, 10, 22]]


def test_an_old_vocabulary_parts_words_itself(tmp_path: Path) -> None:
    talking.save("idefics2", tmp_path / "m")
    talking.words("idefics2", old=True).save(str(tmp_path / "m" / "tokenizer.json"))
    numbers = vicl.load_vlm(tmp_path / "m", device="cpu").inputs(PHOTO, (), "What?")["input_ids"]
    text = talking.words("idefics2", old=True).decode(numbers[0].tolist()[-24:])
    assert "What?" in text
    assert "  What?" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_choices_have_the_likelihood_of_the_whole_answer(
    kind: str, zoo: dict[str, tuple[VisionLanguage, Any]]
) -> None:
    vlm, model = zoo[kind]
    choices = ("cat", "a dog", "dogs")
    reply = vlm.ask(PHOTO, examples=SHOWN, question="What?", choices=choices)
    inputs = vlm.inputs(PHOTO, SHOWN, "What?")
    tokenizer = talking.words(kind)
    gap, end = ("", "<|im_end|>") if kind.startswith("qwen") else (" ", "<end_of_utterance>")
    before = "<|im_start|>assistant\n" if kind.startswith("qwen") else f"{end}\nAssistant:"
    short = len(tokenizer.encode(before).ids)
    scores = []
    for choice in choices:
        whole = tokenizer.encode(f"{before}{gap}{choice}{end}").ids
        numbers = torch.tensor([inputs["input_ids"][0, :-short].tolist() + whole])
        given = inputs | {"input_ids": numbers, "attention_mask": torch.ones_like(numbers)}
        if "mm_token_type_ids" in inputs:
            more = numbers.shape[1] - inputs["input_ids"].shape[1]
            seen = torch.nn.functional.pad(inputs["mm_token_type_ids"], (0, more))
            given["mm_token_type_ids"] = seen
        with torch.inference_mode():
            chances = model(**given).logits[0].double().log_softmax(-1)
        places = range(numbers.shape[1] - len(whole) + 1, numbers.shape[1])
        scores.append(sum(chances[at - 1, numbers[0, at]] for at in places))
    wanted = torch.stack(scores).softmax(0)
    assert torch.allclose(torch.tensor([*reply.choices.values()]).double(), wanted, atol=1e-4)
    assert reply.text == choices[int(wanted.argmax())]
    assert tuple(reply.choices) == choices


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_those_of_the_librarys_own_model(
    kind: str, zoo: dict[str, tuple[VisionLanguage, Any]]
) -> None:
    vlm, model = zoo[kind]
    inputs = vlm.inputs(PHOTO, SHOWN, None)
    with torch.inference_mode():
        out = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    text = talking.words(kind).decode(out[0, inputs["input_ids"].shape[1] :].tolist())
    assert vlm.ask(PHOTO, examples=SHOWN, max_tokens=4).text == text.strip()


def test_what_is_drawn_depends_on_the_seed_alone(
    zoo: dict[str, tuple[VisionLanguage, Any]],
) -> None:
    vlm = zoo["smolvlm"][0]

    def drawn(seed: int) -> str:
        torch.rand(1)
        return vlm.ask(PHOTO, question="What?", temperature=9.0, max_tokens=8, seed=seed).text

    state = torch.get_rng_state()
    vlm.ask(PHOTO, question="What?", temperature=9.0, max_tokens=2)
    assert torch.equal(state, torch.get_rng_state())
    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(3)}) > 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "neither examples nor a question"),
        ({"question": "<image>"}, "holds <image>"),
        ({"question": "a", "choices": ["x"]}, "two or more"),
        ({"examples": [(PHOTO, PHOTO)]}, "expected its answer as text"),
        ({"examples": [(PHOTO, " ")]}, "empty text"),
        ({"examples": SHOWN, "choices": ["cat", "cow"]}, "none of the choices"),
        ({"question": "a" * 5000}, "fewer examples"),
        ({"question": "a", "max_tokens": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_asked_is_said(
    given: dict[str, Any], said: str, zoo: dict[str, tuple[VisionLanguage, Any]]
) -> None:
    with pytest.raises(ValueError, match=said):
        zoo["idefics3"][0].ask(PHOTO, **given)


def change(folder: Path, **values: Any) -> None:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+$"}}}, "pattern"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": ""}}, "not known here"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.5}}, "by chance"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["b", "c"]]}}, "cannot be used"),
        ({"decoder": {"type": ["Fuse"]}}, "not known here"),
        ({"decoder": {"type": "Replace", "pattern": {"Regex": {}}, "content": ""}}, "pattern"),
        ({"decoder": {"type": "Replace", "pattern": {"Regex": "a", "String": "a"}}}, "pattern"),
        ({"model": {"type": "Unigram", "vocab": []}}, "no vocabulary"),
        ({"added_tokens": [{"content": "<image>", "id": 10**9}]}, "more pieces than the model"),
        ({"added_tokens": []}, "more pieces|has no <end_of_utterance>"),
        ({"added_tokens": [{"content": 3}]}, "words with their numbers"),
    ],
)
def test_vocabularies_of_strangers_are_read_as_such(
    values: dict[str, Any], said: str, tmp_path: Path
) -> None:
    talking.save("smolvlm", tmp_path / "m")
    change(tmp_path / "m", **values)
    with pytest.raises(ModelError, match=said):
        vicl.load_vlm(tmp_path / "m")


def test_numbers_that_the_configuration_says_otherwise_are_refused(tmp_path: Path) -> None:
    talking.save("smolvlm", tmp_path / "m")
    config = tmp_path / "m" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"image_token_id": 3}))
    with pytest.raises(ModelError, match="image_token_id: got 3"):
        vicl.load_vlm(tmp_path / "m")
    (tmp_path / "m" / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        vicl.load_vlm(tmp_path / "m")


def test_qwens_configuration_may_be_flat_as_it_was(
    tmp_path: Path, zoo: dict[str, tuple[VisionLanguage, Any]]
) -> None:
    talking.save("qwen2_5_vl", tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    said = json.loads(path.read_text())
    text = said.pop("text_config")
    turns = text.pop("rope_parameters")
    text |= {"rope_theta": turns.pop("rope_theta"), "rope_scaling": turns | {"type": "mrope"}}
    text.pop("model_type")
    path.write_text(json.dumps(text | said))
    flat = vicl.load_vlm(tmp_path / "m", device="cpu")
    asked = {"examples": SHOWN[:1], "choices": ("cat", "dog")}
    assert flat.ask(PHOTO, **asked) == zoo["qwen2_5_vl"][0].ask(PHOTO, **asked)
