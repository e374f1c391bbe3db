"""Hostile LaTeX: bounded by what is counted, never by a clock."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vicl.figures.arxiv.latex import figures as latex
from vicl.figures.arxiv.latex.expanding import Expander, TooMuchTexError
from vicl.figures.arxiv.latex.figures import read_figures

_TWO = "\\includegraphics{a}\\includegraphics{b}"
_DOUBLING = "".join(f"\\def\\{chr(98 + n)}{{\\{chr(97 + n)}\\{chr(97 + n)}}}" for n in range(24))


@pytest.mark.parametrize(
    ("macros", "ends"),
    [
        ("\\def\\a{\\a}\\a", True),
        ("\\newcommand{\\a}{x\\b}\\newcommand{\\b}{\\a y}\\a", True),
        ("\\def\\a#1{\\a{#1}}\\a{\\a{x}}", True),
        ("\\let\\a\\b\\let\\b\\a\\def\\b{\\a}\\a", True),
        ("\\input{\\input{\\input{m}}}\\input m ", True),
        ("\\def\\a{x\\a\\a}\\a", False),
        ("\\newcommand{\\a}[1]{\\a{#1#1}}\\a{x}", False),
        (f"\\def\\a{{xxxx}}{_DOUBLING}\\y", False),
    ],
)
def test_macros_without_end(macros: str, ends: bool) -> None:
    most = 20_000
    expander = Expander({"m": f"{macros}{{}}done"}, "m", most=most)
    if ends:
        assert "".join(expander).endswith("done")
        assert expander.spent < most
    else:
        with pytest.raises(TooMuchTexError):
            list(expander)
        assert expander.spent <= most + 1


_HOSTILE = (
    "{", "}", "[", "]", "\\", "\\\\", "$", "&", "#1", "%", "\n\n", " ", "~", "@{", "*{9}{c}",
    "\\begin{figure}", "\\end{figure}", "\\begin{tabular}", "\\end{tabular}", "{cc}",
    "\\begin{minipage}", "{.5\\linewidth}", "\\end{minipage}", "\\begin{center}", "\\end{center}",
    "\\includegraphics", "[width=1cm", ",angle=", "90]", "{a}", "\\caption", "\\label",
    "\\def\\x", "\\x", "\\newcommand", "\\newenvironment", "\\let", "\\iffalse", "\\else", "\\fi",
    "\\ifx", "\\newif\\ifx", "\\xtrue", "\\multicolumn", "\\multirow", "\\rotatebox", "\\resizebox",
    "\\raisebox", "\\kern", "\\hspace*", "\\vskip", "1e9cm", "-", "=", "\\verb|", "\\input", "{m}",
    "\\end{document}", "\\teaser", "\\graphicspath", "\\tabcolsep", "\\setlength", "\\'", "\\foo",
    "\\stackunder", "\\subfloat", "\x00", "\\fontsize", "\\adjustbox",
    "\\begin{verbatim}", "\\usepackage", "é", "9" * 30,
)  # fmt: skip
_texts = st.lists(st.sampled_from(_HOSTILE), max_size=60).map("".join)


@given(_texts, st.text(max_size=30))
@settings(max_examples=60, deadline=None)
def test_no_text_raises(first: str, second: str) -> None:
    text = f"\\documentclass{{x}}\\begin{{figure}}{first}{_TWO}\\end{{figure}}{second}{first}"
    for figure in read_figures({"m.tex": text, "m": first}):
        assert hash(figure) == hash(figure)  # frozen to its leaves
        assert all(isinstance(reason, str) for reason in figure.reasons)


@pytest.mark.parametrize(
    "part",
    ["{", "}", "[", "\\cite[", "\\includegraphics[", "\\begin{figure}", "\\begin{center}", "\\x{",
     "\\verb|", "\\begin{tabular}{*{99}{", "\\caption{\\label{", "$", "% ", "\\kern1ptX", "\\'"],
)  # fmt: skip
def test_work_is_linear_in_the_text(part: str) -> None:
    """As counted in calls of functions, which no machine's speed changes."""
    one, four = (_calls(part * count) for count in (100, 400))
    assert four < 5 * one + 500


def _calls(text: str) -> int:
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        read_figures({"m.tex": f"\\documentclass{{x}}\\begin{{figure}}{text}\\end{{figure}}"})
    finally:
        sys.setprofile(None)
    return count


def test_a_paper_that_asks_for_too_much_keeps_what_was_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(latex, "MOST_TOKENS", 20_000)
    figure = f"\\begin{{figure}}{_TWO}\\end{{figure}}"
    bomb = f"\\def\\a{{xxxxxxxx}}{_DOUBLING}\\y"
    found = read_figures({"m.tex": f"\\documentclass{{x}}{figure}{bomb}{figure}"})
    assert [figure.reasons for figure in found] == [(), ("more TeX than is read",)]
