"""Figures out of LaTeX texts: files, macros, conditions, captions, and what is not understood."""

from __future__ import annotations

import pytest
from tests.figures.arxiv.styles import STYLES, paper

from vicl.figures.arxiv.latex.figures import LatexFigure, count_reasons, read_figures
from vicl.figures.arxiv.latex.including import candidates
from vicl.figures.arxiv.latex.lengths import INCH, LONGEST, length, page_widths
from vicl.figures.arxiv.latex.tex import tokens

_TWO = "\\includegraphics{a}\\includegraphics{b}"


def _figure(text: str, *, before: str = "", **files: str) -> LatexFigure:
    """The one figure of a paper."""
    main = f"\\documentclass{{article}}{before}\\begin{{document}}{text}\\end{{document}}"
    (figure,) = read_figures({"main.tex": main, **files})
    return figure


def _names(figure: LatexFigure) -> list[str]:
    return [graphic.name for graphic in figure.graphics]


def _text(text: str) -> str:
    return "".join(tokens(text))


def test_tokens_leave_out_what_tex_does_not_read() -> None:
    assert _text("a % b\n  c") == "a c"
    assert _text("a%\n\nb") == "a\\parb"
    assert _text("50\\% of") == "50\\% of"
    assert _text("\\foo  x \\% y") == "\\foox \\% y"
    assert _text("a \\verb|%{| b") == "a  b"
    assert _text("\\begin{verbatim}\\begin{figure}%\\end{verbatim}c") == "c"
    assert _text("\\begin{comment}x") == ""
    assert list(tokens("\\begin {figure*}[t]")) == ["\\begin{figure*}", "[", "t", "]"]


def test_files_are_followed_from_the_main_text() -> None:
    found = read_figures(
        {
            "a_section.tex": "\\begin{figure}\\includegraphics{lost}\\end{figure}",
            "paper/main.tex": "\\documentclass{x}\\input{sec/one}\\include{two}\\input three "
            "\\import{parts/}{four}\\subfile{deep/five.tex}\\end{document}"
            "\\begin{figure}\\includegraphics{never}\\end{figure}",
            "paper/sec/one.tex": "\\begin{figure}\\includegraphics{1}\\end{figure}"
            "\\endinput\\begin{figure}\\includegraphics{no}\\end{figure}",
            "paper/two.tex": "\\begin{figure}\\includegraphics{2}\\end{figure}\\input{two}",
            "paper/three.tex": "\\begin{figure}\\includegraphics{3}\\end{figure}",
            "paper/parts/four.tex": "\\begin{figure}\\includegraphics{4}\\end{figure}",
            "paper/deep/five.tex": "\\documentclass[../main]{subfiles}\\begin{document}"
            "\\begin{figure}\\includegraphics{5}\\end{figure}\\end{document}",
        }
    )
    assert [_names(figure) for figure in found] == [["1"], ["2"], ["3"], ["4"], ["5"]]
    assert "paper/parts/4.png" in found[3].graphics[0].candidates
    assert "paper/deep/5.png" in found[4].graphics[0].candidates


def test_several_main_texts_and_none() -> None:
    one = "\\documentclass{x}\\begin{figure}\\includegraphics{1}\\end{figure}"
    two = "\\documentclass{x}\\begin{figure}\\includegraphics{2}\\end{figure}"
    found = read_figures({"main.tex": one, "old.tex": one, "supplement.tex": two})
    assert [_names(figure) for figure in found] == [["1"], ["2"]]
    bare = read_figures({"b.tex": two.partition("}")[2], "a.tex": one.partition("}")[2]})
    assert [_names(figure) for figure in bare] == [["1"], ["2"]]
    assert read_figures({}) == []


def test_macros_become_what_they_stand_for() -> None:
    before = (
        "\\newcommand{\\im}[2][0.5]{\\includegraphics[width=#1\\linewidth]{\\dir/#2}}"
        "\\def\\dir{figs}\\newcommand*\\pair[2]{\\im{#1}\\im[.25]{#2}}"
        "\\newenvironment{fig}[1]{\\begin{figure}\\def\\capt{#1}}{\\caption{\\capt}\\end{figure}}"
        "\\let\\old\\maketitle\\renewcommand{\\maketitle}{x\\old}\\maketitle\\usepackage{own}"
        "\\renewcommand{\\includegraphics}[1]{}"
    )
    figure = _figure(
        "\\begin{fig}{Of \\emph{two}}\\pair{a}{b}\\own\\end{fig}",
        before=before,
        **{"own.sty": "\\ProvidesPackage{own}\\newcommand{\\own}{\\includegraphics{c}}"},
    )
    assert _names(figure) == ["figs/a", "figs/b", "c"]
    assert [graphic.width for graphic in figure.graphics] == [172.5, 86.25, None]
    assert (figure.caption, figure.reasons) == ("Of two", ())


def test_conditions_that_are_known_are_followed() -> None:
    text = (
        "\\begin{figure}\\iffalse\\includegraphics{no}\\ifx a\\fi\\else\\includegraphics{a}\\fi"
        "\\ifdraft\\includegraphics{b}\\else\\includegraphics{no}\\fi\\end{figure}"
    )
    figure = _figure(text, before="\\newif\\ifdraft\\drafttrue")
    assert (_names(figure), figure.reasons) == (["a", "b"], ())
    unknown = _figure(f"\\begin{{figure}}\\ifx\\a\\b{_TWO}\\else\\fi\\end{{figure}}")
    assert unknown.reasons == ("a condition",)


@pytest.mark.parametrize("environment", ["figure", "figure*", "wrapfigure", "SCfigure"])
def test_environments_of_figures(environment: str) -> None:
    arguments = "{r}{.5\\textwidth}" if environment == "wrapfigure" else "[t]"
    figure = _figure(f"\\begin{{{environment}}}{arguments}{_TWO}\\end{{{environment}}}")
    assert (_names(figure), figure.environment, figure.reasons) == (["a", "b"], environment, ())


def test_teasers_and_figures_without_an_environment() -> None:
    teaser = _figure("\\teaser{\\includegraphics{a}\\caption{T}}")
    assert (_names(teaser), teaser.caption) == (["a"], "T")
    above = _figure(
        "\\twocolumn[{\\maketitle\\begin{center}\\captionsetup{type=figure}"
        f"{_TWO}\\captionof{{figure}}{{Over all.}}\\end{{center}}}}]"
    )
    assert (_names(above), above.caption) == (["a", "b"], "Over all.")
    nothing = "\\begin{center}\\includegraphics{logo}\\end{center}\\begin{table}x\\end{table}"
    assert read_figures({"m.tex": f"\\documentclass{{x}}{nothing}"}) == []
    assert _names(_figure(f"\\begin{{table}}{_TWO}\\end{{table}}")) == ["a", "b"]


def test_captions_are_plain_text() -> None:
    figure = _figure(
        '\\begin{figure}\\includegraphics{a}\\caption[short]{{\\bf Left}: na\\"ive, '
        "\\textcolor{red}{50\\%} of~$\\alpha_{i}^2 \\times 3$ --- see \\cite[p.~1]{x} "
        "``q''\\label{fig:in}.}\\end{figure}"
    )
    assert figure.caption == "Left: naïve, 50% of αi2 ×3 — see “q”."
    assert figure.label == "fig:in"


def test_labels_of_the_figure_come_before_those_of_subfigures() -> None:
    figure = read_figures(paper("subfigures of subcaption"))[0]
    assert (figure.label, figure.caption) == ("fig:subs", "Subfigures.")
    figure = read_figures(paper("caption boxes"))[0]
    assert (figure.label, figure.caption) == ("fig:cb-a", "Boxes with captions.")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\\foreach \\i in {1,2}{\\includegraphics{\\i}}", "\\foreach"),
        ("\\begin{tikzpicture}\\node{\\includegraphics{a}};\\end{tikzpicture}",
         "environment tikzpicture"),
        ("\\begin{odd}\\includegraphics{a}\\end{odd}", "environment odd"),
        ("\\ifthenelse{x}{\\includegraphics{a}}{}", "a condition"),
        ("\\includegraphics[width=\\foo]{a}", "a length that cannot be read"),
        ("\\includegraphics[trim=1 2 3,clip]{a}", "a trim that cannot be read"),
        ("\\includegraphics[width=1cm{a}", "brackets that do not close"),
        ("\\begin{minipage}{1cm}x", "a group or an environment that does not end"),
        ("\\begin{center}x\\end{minipage}\\end{center}", "environments that cross"),
        ("\\sbox0{\\includegraphics{a}}\\usebox0", "a saved box"),
        ("{" * 100, "nested too deeply"),
        ("\\includegraphics{a}" * 401, "too many boxes"),
    ],
)  # fmt: skip
def test_what_is_not_understood_says_why(text: str, reason: str) -> None:
    figure = _figure(f"\\begin{{figure}}{text}\\end{{figure}}")
    assert figure.reasons == (reason,)
    assert count_reasons([figure, figure]) == {reason: 2}


def test_a_figure_that_does_not_end_takes_no_other_with_it() -> None:
    found = read_figures(
        {"m.tex": f"\\documentclass{{x}}\\begin{{figure}}x\\begin{{figure}}{_TWO}\\end{{figure}}"}
    )
    assert found[0].reasons == ("an environment that does not end",)
    assert _names(found[1]) == ["a", "b"]


@pytest.mark.parametrize("name", STYLES)
def test_every_style_is_understood(name: str) -> None:
    (figure,) = read_figures(paper(name))
    assert figure.reasons == ()
    assert figure.caption.endswith(".")
    assert len(figure.graphics) >= 2


def test_candidates_follow_latex() -> None:
    assert candidates("a", ["", "figs/"])[:3] == ("a.pdf", "a.png", "a.jpg")
    assert "figs/a.png" in candidates("a", ["", "figs/"])
    assert candidates("./x/../a.png", [""])[0] == "a.png"
    assert candidates("a.v2", [""])[:2] == ("a.v2.pdf", "a.v2.png")
    assert "a-eps-converted-to.pdf" in candidates("a.eps", [""])
    assert candidates("../../etc/passwd", ["figs"]) == ()
    assert candidates("/etc/passwd", [""]) == ()


def test_the_text_says_where_pictures_are() -> None:
    before = "\\graphicspath{{figs/}{./more/}}\\DeclareGraphicsExtensions{.jpg,.png}"
    (graphic,) = _figure("\\begin{figure}\\includegraphics{a}\\end{figure}", before=before).graphics
    assert graphic.candidates[0] == "a.jpg"
    assert "figs/a.jpg" in graphic.candidates
    assert "more/a.png" in graphic.candidates


@pytest.mark.parametrize(
    ("text", "points"),
    [
        (".5\\textwidth", 50.0),
        ("0.5\\textwidth-2pt", 48.0),
        ("- 1in", -INCH),
        ("\\dimexpr\\textwidth/4 + 1pt\\relax", 26.0),
        ("0.5*\\textwidth", 50.0),
        ("2em", 20.0),
        ("1pt plus 3fil", 1.0),
        ("9999999cm", LONGEST),
        ("0", 0.0),
        ("3", None),
        ("1/0pt", None),
        ("\\unknown", None),
        ("", None),
    ],
)
def test_lengths(text: str, points: float | None) -> None:
    found = length(text, {"\\textwidth": 100.0})
    assert found == (None if points is None else pytest.approx(points))


def test_widths_of_pages() -> None:
    assert page_widths(["article", "neurips_2023"], []) == (397.48, 397.48)
    assert page_widths(["IEEEtran"], ["conference"])[1] == 252.0
    assert page_widths(["IEEEtran"], ["onecolumn"])[1] == 516.0
    assert page_widths(["article", "eccvabbrv"], []) == page_widths(["llncs"], [])
    assert page_widths(["article"], ["twocolumn"]) == (469.0, 229.5)
