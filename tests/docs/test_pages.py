"""The pages of the documentation: links lead somewhere, code can be typed, none is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from making import ROOT, pages, pictures, reference
from making.code import code_faults
from making.commands import commands
from making.markdown import anchors, blocks, links, relinked
from making.outside import fetched, outside_addresses


def test_no_page_has_a_fault() -> None:
    assert pages.faults() == []


def test_every_page_stands_in_the_navigation_once() -> None:
    named = pages.in_navigation()
    assert len(named) == len(set(named))
    own = {pages.place_of(page) for page in pages.own_pages()}
    written = {place for place in reference.pages() if not place.startswith("source/")}
    there = own | set(pages.moved_pages().values()) | written
    assert there - set(named) == set(), "add these to nav in mkdocs.yml"
    assert set(named) - there == set(), "nav in mkdocs.yml names pages that are not there"


def test_nothing_that_the_site_makes_lies_in_the_repository() -> None:
    made = {*reference.pages(), *pages.moved_pages().values()}
    made |= {pictures.place_of(name) for name in pictures.PICTURES}
    assert not [place for place in made if (ROOT / pages.DOCS / place).exists()]


def test_every_picture_is_shown_once() -> None:
    shown = [name for page in pages.own_pages() for name in pictures.marks(pages.read(page))]
    assert sorted(shown) == sorted(pictures.PICTURES)


def test_a_mark_becomes_a_picture_that_can_be_opened() -> None:
    text = pictures.with_pictures("a\n<!-- picture: words | What it is -->\n", "explained/x.md")
    assert "[![What it is](../pictures/words.png)](../pictures/words.png)" in text
    assert "*What it is.*" in text
    with pytest.raises(ValueError, match="no picture is called 'word'"):
        list(pictures.marks("<!-- picture: word | x -->"))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("vicl predict q --exmple a b", "No such option"),
        ("vicl predict q --task masks", "'masks' is not one of"),
        ("find . | vicl perdict -", "there is no command 'perdict'"),
        ("vicl evaluate shapez -o out", "there is no command 'shapez'"),
        ("vicl tune border --data d", "Missing option '-o'"),
        ("torchrun -m vicl train", "Missing argument"),
        ("A=1 vicl predict q -o o --samples x &", "'x' is not a valid integer"),
        ("make tset", "no target tset"),
        ('pip install "vicl[ap]"', "no extra ap"),
        ("python benchmarks/non.py", "there is no benchmarks/non.py"),
        ("vicl predict 'q", "No closing quotation"),
    ],
)
def test_what_cannot_be_typed_is_found(code: str, said: str) -> None:
    (fault,) = code_faults(f"# A page\n\n```\n{code}\n```\n")
    assert said in fault
    assert fault.startswith("4: ")


def test_what_can_be_typed_is_no_fault() -> None:
    code = """
vicl colorize old.jpg --dab 1,2,#b03020 -o coloured.png   # a person's comment
find . -name '*.tif' | vicl predict - --prompt leaf.vicl --json > rows.jsonl
CUDA_VISIBLE_DEVICES=0 vicl serve --prompt leaf.vicl --device cuda \\
    --port 8472 &
vicl tune border --model default --data pairs --task segmentation -o runs/border
vicl --version && make demo; pip install "vicl[app,server]"
"""
    assert list(code_faults(f"```sh\n{code}```\n")) == []
    assert [words[:2] for words in commands(code)][:3] == [
        ["vicl", "colorize"],
        ["find", "."],
        ["vicl", "predict"],
    ]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("vicl.predikt('a')", "there is no predikt in vicl"),
        (
            "from vicl.prompting.prompter import Prompter",
            "there is no Prompter in vicl.prompting.prompter",
        ),
        ("import vicl.promptin", "there is no promptin in vicl"),
        ("vicl.VisualPrompter.open('a')", "VisualPrompter has no open"),
        ("vicl.load_model('a', devise='cpu')", "vicl.load_model takes no devise"),
        ("print(", "was never closed"),
    ],
)
def test_python_that_would_fail_is_found(code: str, said: str) -> None:
    (fault,) = code_faults(f"```python\n{code}\n```\n")
    assert said in fault


@pytest.mark.parametrize(
    ("span", "said"),
    [("`vicl predict --exmple`", "no option --exmple"), ("`vicl shwo`", "no command 'shwo'")],
)
def test_what_a_sentence_names_is_looked_up(span: str, said: str) -> None:
    (fault,) = code_faults(f"One\n\nsays {span}.\n")
    assert fault.startswith("3: ")
    assert said in fault


def test_a_broken_link_is_found() -> None:
    text = "# A\n[a](matching.md#lines) [b](matching.md#line) ![c](none.png) `[d](none.md)`\n"
    found = list(pages.link_faults("docs/files.md", text + "[e](#a) [f](https://example.org)\n"))
    assert len(found) == 3
    assert found[0].startswith("2: matching.md#line: docs/matching.md has no heading")
    assert found[1] == "2: none.png: there is no docs/none.png"
    assert found[2].startswith("3: #a: docs/files.md has no heading")  # as the file is


def test_links_lead_within_the_site() -> None:
    text = "[a](../README.md#b) [c](../src/vicl/tasks/masks.py) ![d](demo.jpg)"
    moved = relinked(text, pages.site_links("docs/files.md", text))
    assert moved == "[a](index.md#b) [c](source/src/vicl/tasks/masks.py.md) ![d](demo.jpg)"
    text = "[x](src/vicl/photos/README.md) [y](docs/how-to/folder.md)"
    assert [*pages.site_links("README.md", text).values()] == [
        "cards/photos.md",
        "how-to/folder.md",
    ]


def test_markdown_is_read_as_it_is_shown() -> None:
    text = "# A `b`, c – [d](e.md)\n\n```sh\n# no heading\n```\n## Twice\n## Twice\n"
    assert anchors(text) == {"a-b-c--d", "twice"}
    assert [(block.language, block.code, block.line) for block in blocks(text)] == [
        ("sh", "# no heading\n", 4)
    ]
    assert [(link.path, link.anchor) for link in links("[a](b.md#c) [d](#e)")] == [
        ("b.md", "c"),
        ("", "e"),
    ]


def test_what_a_site_fetches_from_elsewhere_is_found(tmp_path: Path) -> None:
    page = """<link rel="stylesheet" href="https://fonts.example/a.css"><a href="https://b.example">
    <script src="//c.example/d.js"></script><img src="e.png"><link rel="canonical" href="https://f/">
    <style>@import "https://g.example/h.css"</style>"""
    assert fetched(page) == [
        "https://fonts.example/a.css",
        "//c.example/d.js",
        "https://g.example/h.css",
    ]
    (tmp_path / "a.html").write_text("<script src='a.js'></script>")
    (tmp_path / "a.css").write_text("a { background: url(https://i.example/j.png) }")
    assert outside_addresses(tmp_path) == ["a.css: https://i.example/j.png"]


def test_the_reference_has_every_option_of_a_command() -> None:
    page = reference.pages()["reference/commands/predict.md"]
    for option in ("`--example IN OUT`", "`-o, --output OUT`", "```sh\n"):
        assert option in page
    assert "## vicl evaluate study" in reference.pages()["reference/commands/evaluate.md"]
