"""Vision-language models of no size with random weights, saved as their users do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tests.adapters.bodies import library, saved

TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 4096,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SEEN: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 4,
}
IDEFICS = ("<fake_token_around_image>", "<image>", "<end_of_utterance>")
PLACES = ("<global-img>", *(f"<row_{r}_col_{c}>" for r in range(1, 7) for c in range(1, 7)))
QWEN = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
MARKS = {
    "idefics2": ("<unk>", "<s>", "</s>", *IDEFICS),
    "idefics3": ("<|begin_of_text|>", *IDEFICS, *PLACES),
    "smolvlm": ("<|im_start|>", *IDEFICS, *PLACES),
    "qwen2_5_vl": ("<|endoftext|>", *QWEN, "<|video_pad|>"),
    "qwen3_vl": ("<|endoftext|>", *QWEN, "<|video_pad|>"),
}


def words(kind: str, *, old: bool = False) -> Any:
    """A tokenizer of bytes, some joined, and the marks of the kind; of Mistral's as it once was."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
    from tokenizers import pre_tokenizers as cut

    if kind == "idefics2":  # as Mistral's: spaces are marks, and the rest is bytes
        letters = ["<unk>", "▁", *(f"<0x{number:02X}>" for number in range(256))]
        letters += list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:.?")
    else:
        letters = sorted(cut.ByteLevel.alphabet())
    space = "▁" if kind == "idefics2" else "Ġ"
    merges = [("c", "a"), ("ca", "t"), ("d", "o"), ("do", "g"), (space, "dog"), (space, "cat")]
    pieces = dict.fromkeys([*letters, *(a + b for a, b in merges)])
    vocabulary = {piece: at for at, piece in enumerate(pieces)}
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, byte_fallback=kind == "idefics2", unk_token=None)
    )
    if kind == "idefics2":
        if old:
            steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
            tokenizer.normalizer = normalizers.Sequence(steps)
        else:
            tokenizer.pre_tokenizer = cut.Metaspace(prepend_scheme="first", split=False)
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
    else:
        if kind.startswith("qwen"):
            from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

            tokenizer.normalizer = normalizers.NFC()
            first: Any = cut.Split(Regex(PRETOKENIZE_REGEX), "isolated")
        else:
            first = cut.Digits(individual_digits=True)
        level = cut.ByteLevel(add_prefix_space=False, use_regex=not kind.startswith("qwen"))
        tokenizer.pre_tokenizer = cut.Sequence([first, level])
        tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(m, normalized=False) for m in MARKS[kind]])
    return tokenizer


def save(kind: str, folder: Path, **changes: Any) -> Any:
    """Save a random model of a kind, with its vocabulary; gives the library's own."""
    torch.manual_seed(0)
    lib, tokenizer = library(), words(kind)
    size = tokenizer.get_vocab_size()
    text = TEXT | {"vocab_size": size}
    if kind == "idefics2":
        image = tokenizer.token_to_id("<image>")
        looked = {"hidden_size": 32, "resampler_n_latents": 3, "resampler_depth": 1}
        looked |= {"resampler_n_heads": 2, "resampler_head_dim": 8, "num_key_value_heads": 1}
        config = lib.Idefics2Config(
            text_config=text | {"model_type": "mistral"},
            vision_config=SEEN,
            perceiver_config=looked,
            image_token_id=image,
        )
    elif kind in ("idefics3", "smolvlm"):
        make = lib.Idefics3Config if kind == "idefics3" else lib.SmolVLMConfig
        config = make(
            text_config=text | {"model_type": "llama"},
            vision_config=SEEN,
            scale_factor=4,
            image_token_id=tokenizer.token_to_id("<image>"),
        )
    else:
        body: dict[str, Any] = {"depth": 2, "num_heads": 2, "out_hidden_size": 32}
        body |= {"hidden_size": 16, "intermediate_size": 16, "patch_size": 4}
        if kind == "qwen2_5_vl":
            body |= {"window_size": 16, "fullatt_block_indexes": [1]}
        else:
            body |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 16}
        # As it was published: two spellings of one thing.
        turns = {"rope_type": "default", "mrope_section": [2, 3, 3]}
        number = tokenizer.token_to_id
        make = lib.Qwen2_5_VLConfig if kind == "qwen2_5_vl" else lib.Qwen3VLConfig
        config = make(
            text_config=text | {"rope_parameters": turns | {"rope_theta": 5000000}},
            vision_config=body,
            image_token_id=number("<|image_pad|>"),
            video_token_id=number("<|video_pad|>"),
            vision_start_token_id=number("<|vision_start|>"),
            vision_end_token_id=number("<|vision_end|>"),
        )
    names = {"idefics2": "Idefics2", "idefics3": "Idefics3", "smolvlm": "SmolVLM"}
    names |= {"qwen2_5_vl": "Qwen2_5_VL", "qwen3_vl": "Qwen3VL"}
    model = saved(getattr(lib, f"{names[kind]}ForConditionalGeneration")(config), folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return model
