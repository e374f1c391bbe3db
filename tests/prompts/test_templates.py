"""The sets of templates that come with vicl."""

from __future__ import annotations

from vicl.prompts.templates import (
    GENERIC,
    VISUAL_PROMPTING,
    filled,
    template_sets,
    templates_of,
)


def test_every_template_has_one_place_for_a_name() -> None:
    sets = template_sets()
    assert {GENERIC, VISUAL_PROMPTING, "ensemble", "pets", "satellite"} <= sets.keys()
    for name, texts in sets.items():
        assert texts, name
        assert len(set(texts)) == len(texts)
        assert all(text.count("{}") == 1 for text in texts)
        assert all(text == text.strip() for text in texts)


def test_names_are_filled_in_as_published() -> None:
    sets = template_sets()
    assert filled(sets["pets"], "Maine_Coon") == ["a photo of a Maine Coon, a type of pet."]
    assert filled(sets[VISUAL_PROMPTING], "T-shirt_top") == ["This is a photo of a t shirt top"]


def test_sets_and_texts_can_be_given_together() -> None:
    found = templates_of(["textures", "the {}"])
    assert found == ("{} texture.", "the {}")
