r"""Figures as papers of computer vision write them: one of each way to put pictures together.

Every figure stands in the same document, so that a real LaTeX can set it, too; how it placed the
pictures is in `styles.json` (pdfTeX of TeX Live 2022).
"""

from __future__ import annotations

from PIL import Image

PREAMBLE = r"""\documentclass[10pt,twocolumn]{article}
\usepackage{graphicx}
\usepackage{%s}
\usepackage{multirow,array,booktabs,wrapfig,tabularx,adjustbox,calc}
\graphicspath{{figs/}}
\newcommand{\im}[1]{\includegraphics[width=0.3\linewidth]{#1}}
\newlength{\mywidth}
\setlength{\mywidth}{0.22\linewidth}
\begin{document}
"""
"""Needs the package of its subfigures."""

SIZES = {"a": (120, 100), "b": (120, 100), "c": (120, 100), "d": (200, 100), "e": (60, 120)}
"""Width and height of the pictures, in pixels."""

COLOURS = {
    "a": (220, 30, 30),
    "b": (30, 160, 30),
    "c": (30, 30, 220),
    "d": (200, 160, 0),
    "e": (0, 180, 180),
}

STYLES: dict[str, tuple[str, str]] = {
    "three in a row": (
        "subcaption",
        r"""\begin{figure}[t]
  \centering
  \includegraphics[width=0.32\linewidth]{a}
  \includegraphics[width=0.32\linewidth]{b}
  \includegraphics[width=0.32\linewidth]{c}
  \caption{Three in a row.}
  \label{fig:row}
\end{figure}""",
    ),
    "rows by their length": (
        "subcaption",
        r"""\begin{figure}
\begin{center}
\includegraphics[width=0.45\linewidth]{a}
\includegraphics[width=0.45\linewidth]{b}
\includegraphics[width=0.45\linewidth]{c}
\includegraphics[width=0.45\linewidth]{d}
\end{center}
   \caption{Four of which two fit.}
\label{fig:long}
\label{fig:onecol}
\end{figure}""",
    ),
    "rows by breaks": (
        "subcaption",
        r"""\begin{figure*}
  \centering
  \includegraphics[height=2cm]{a}\hspace{1mm}%
  \includegraphics[height=2cm]{d}\hspace{1mm}%
  \includegraphics[height=2cm]{e}\\[1mm]
  \includegraphics[height=2cm]{b}\hspace{1mm}%
  \includegraphics[height=2cm]{d}\hspace{1mm}%
  \includegraphics[height=2cm]{e}
  \caption{Of one height each.}
\end{figure*}""",
    ),
    "empty lines": (
        "subcaption",
        r"""\begin{figure}
  \centering
  \includegraphics[width=.4\columnwidth]{a} % the input
  \includegraphics[width=.4\columnwidth]{b}

  \vspace{2pt}
  \includegraphics[width=.4\columnwidth]{c}
  \includegraphics[width=.4\columnwidth]{a}%

  \includegraphics[width=.4\columnwidth]{b}
  \includegraphics[width=.4\columnwidth]{c}
  \caption{Separated by empty lines and comments.}
\end{figure}""",
    ),
    "table": (
        "subcaption",
        r"""\begin{figure*}[t]
\begin{center}
\setlength{\tabcolsep}{1pt}
\begin{tabular}{cccc}
Input & Baseline~\cite{x} & \textbf{Ours} & Ground truth \\
\includegraphics[width=0.2\linewidth]{a} & \includegraphics[width=0.2\linewidth]{b} &
\includegraphics[width=0.2\linewidth]{c} & \includegraphics[width=0.2\linewidth]{a} \\
\includegraphics[width=0.2\linewidth]{b} & \includegraphics[width=0.2\linewidth]{c} &
\includegraphics[width=0.2\linewidth]{a} & \includegraphics[width=0.2\linewidth]{b} \\
\end{tabular}
\end{center}
\caption{A table of pictures with headings.}
\label{fig:table}
\end{figure*}""",
    ),
    "tight table": (
        "subcaption",
        r"""\begin{figure}
\centering
\renewcommand{\arraystretch}{0.5}
\begin{tabular}{@{}c@{\hspace{1mm}}c@{\hspace{1mm}}c@{}}
\im{a} & \im{b} & \im{c} \\
\im{c} & \im{a} & \im{b} \\
(a) & (b) & (c)
\end{tabular}
\caption{With a macro for its pictures.}
\end{figure}""",
    ),
    "row labels": (
        "subcaption",
        r"""\begin{figure*}
\centering
\begin{tabular}{c*{3}{c}}
\rotatebox{90}{\small Input} & \includegraphics[width=0.25\textwidth]{a} &
\includegraphics[width=0.25\textwidth]{b} & \includegraphics[width=0.25\textwidth]{c} \\
\rotatebox[origin=c]{90}{\small Ours} & \includegraphics[width=0.25\textwidth]{b} &
\includegraphics[width=0.25\textwidth]{c} & \includegraphics[width=0.25\textwidth]{a} \\
\end{tabular}
\caption{Rows with labels that are turned.}
\end{figure*}""",
    ),
    "spans": (
        "subcaption",
        r"""\begin{figure}
\centering
\begin{tabular}{ccc}
\multicolumn{2}{c}{Ours} & Theirs \\
\cmidrule(lr){1-2}
\includegraphics[width=1.6cm]{a} & \includegraphics[width=1.6cm]{b} &
\multirow{2}{*}{\includegraphics[width=1.2cm]{e}} \\
\includegraphics[width=1.6cm]{c} & \includegraphics[width=1.6cm]{a} & \\
\multicolumn{3}{c}{\includegraphics[width=5cm]{d}} \\
\end{tabular}
\caption{Over several columns and rows.}
\end{figure}""",
    ),
    "subfigures of subcaption": (
        "subcaption",
        r"""\begin{figure}
  \centering
  \begin{subfigure}[b]{0.48\linewidth}
    \centering
    \includegraphics[width=\textwidth]{a}
    \caption{First}
    \label{fig:sub-a}
  \end{subfigure}
  \hfill
  \begin{subfigure}[b]{0.48\linewidth}
    \centering
    \includegraphics[width=\textwidth]{b}
    \caption{Second}
    \label{fig:sub-b}
  \end{subfigure}
  \begin{subfigure}[b]{0.48\linewidth}
    \centering
    \includegraphics[width=\textwidth]{c}
    \caption{Third}
  \end{subfigure}
  \hfill
  \begin{subfigure}[b]{0.48\linewidth}
    \centering
    \includegraphics[width=0.5\textwidth]{e}
    \caption{Fourth}
  \end{subfigure}
  \caption{Subfigures.}
  \label{fig:subs}
\end{figure}""",
    ),
    "subfloats": (
        "subfig",
        r"""\begin{figure*}[!t]
\centering
\subfloat[Input]{\includegraphics[width=0.24\textwidth]{a}\label{fig:sf-a}}
\hfil
\subfloat[Edges]{\includegraphics[width=0.24\textwidth]{b}}
\hfil
\subfloat[Depth]{\includegraphics[width=0.24\textwidth]{c}}
\\
\subfloat[A wide one, with a caption of more than one line of its own]{%
\includegraphics[width=0.48\textwidth]{d}}
\caption{Subfloats as in IEEE's template.}
\label{fig:subfloats}
\end{figure*}""",
    ),
    "old subfigures": (
        "subfigure",
        r"""\begin{figure}
\centering
\subfigure[One]{\includegraphics[width=0.45\columnwidth]{a}}
\subfigure[Two]{\includegraphics[width=0.45\columnwidth]{b}}
\subfigure[Three]{\includegraphics[width=0.45\columnwidth]{c}}
\subfigure[Four]{\includegraphics[width=0.45\columnwidth]{a}}
\caption{As the package subfigure sets them.}
\end{figure}""",
    ),
    "caption boxes": (
        "subcaption",
        r"""\begin{figure}
\centering
\subcaptionbox{Left\label{fig:cb-a}}{\includegraphics[width=0.4\linewidth]{a}}
\subcaptionbox{Right}[0.5\linewidth]{\includegraphics[width=0.4\linewidth]{b}}
\caption{Boxes with captions.}
\end{figure}""",
    ),
    "minipages": (
        "subcaption",
        r"""\begin{figure*}
\begin{minipage}[b]{0.3\linewidth}
  \centering
  \includegraphics[width=\linewidth]{a}\\
  {\small (a) Input}
\end{minipage}\hfill
\begin{minipage}[b]{0.3\linewidth}
  \centering
  \includegraphics[width=\linewidth]{b}\\
  {\small (b) Ours}
\end{minipage}\hfill
\begin{minipage}[b]{0.3\linewidth}
  \centering
  \includegraphics[width=0.48\linewidth]{c}
  \includegraphics[width=0.48\linewidth]{a}\\
  \includegraphics[width=0.48\linewidth]{b}
  \includegraphics[width=0.48\linewidth]{c}\\
  {\small (c) Details}
\end{minipage}
\caption{Minipages, one of them with a grid of its own.}
\end{figure*}""",
    ),
    "resized": (
        "subcaption",
        r"""\begin{figure}
\centering
\resizebox{\linewidth}{!}{%
\begin{tabular}{cc}
\includegraphics[width=4in]{a} & \includegraphics[width=4in]{b} \\
\includegraphics[width=4in]{c} & \includegraphics[width=4in]{a}
\end{tabular}}
\caption{Brought to the column's width.}
\end{figure}""",
    ),
    "trimmed": (
        "subcaption",
        r"""\begin{figure}
\centering
\includegraphics[width=0.4\linewidth,trim={20 10 40 30},clip]{a}
\includegraphics[trim=1cm 0 0 1cm, clip=true, height=1in]{d}
\includegraphics[viewport=10 10 60 90,clip,scale=0.6]{b}
\caption{Parts of pictures.}
\end{figure}""",
    ),
    "turned": (
        "subcaption",
        r"""\begin{figure}
\centering
\includegraphics[angle=90,width=0.3\linewidth]{d}
\includegraphics[width=0.3\linewidth,angle=90]{d}
\includegraphics[height=1cm,width=3cm,keepaspectratio]{d}
\includegraphics[scale=0.2]{a}
\caption{Turned, then sized, and the other way round.}
\end{figure}""",
    ),
    "paragraph columns": (
        "subcaption",
        r"""\begin{figure*}
\centering
\newcolumntype{M}[1]{>{\centering\arraybackslash}m{#1}}
\begin{tabular}{@{}p{2cm}M{3cm}M{3cm}@{}}
Name & Input & Output \\
\midrule
Our method & \includegraphics[width=\linewidth]{a} & \includegraphics[width=\linewidth]{b} \\
Their method & \includegraphics[width=\linewidth]{c} & \includegraphics[width=\linewidth]{a} \\
\end{tabular}
\caption{Pictures as wide as their columns.}
\end{figure*}""",
    ),
    "wide table": (
        "subcaption",
        r"""\begin{figure*}
\begin{tabular*}{\textwidth}{@{\extracolsep{\fill}}ccc@{}}
\includegraphics[width=3cm]{a} & \includegraphics[width=3cm]{b} &
\includegraphics[width=3cm]{c} \\[4pt]
\includegraphics[width=3cm]{c} & \includegraphics[width=3cm]{a} &
\includegraphics[width=3cm]{b} \\
\end{tabular*}
\caption{A table over the page's width.}
\end{figure*}""",
    ),
    "lengths": (
        "subcaption",
        r"""\begin{figure}
\centering
\setlength{\mywidth}{0.5\linewidth-4pt}
\setlength{\fboxsep}{0pt}
\fbox{\includegraphics[width=\mywidth]{a}}\kern2pt
\includegraphics[width=0.8\mywidth]{b}\par\smallskip
\makebox[0.4\linewidth][l]{\includegraphics[width=1in]{c}}%
\raisebox{-0.5\height}{\includegraphics[width=20mm]{d}}
\caption{Lengths of all kinds.}
\end{figure}""",
    ),
    "wrapped": (
        "subcaption",
        r"""\begin{wrapfigure}{r}{0.5\columnwidth}
\centering
\includegraphics[width=0.48\linewidth]{a}
\includegraphics[width=0.48\linewidth]{b}\\
\includegraphics[width=\linewidth]{d}
\caption{Beside the text.}
\end{wrapfigure}
Some text that runs beside the figure and is long enough for a few lines of its own, so that the
figure is placed, and then goes on for a while without saying anything at all to anybody who reads
it, as texts that fill pages do, line after line.""",
    ),
    "nested tables": (
        "subcaption",
        r"""\begin{figure*}
\centering
\begin{tabular}{cc}
\begin{tabular}{@{}c@{}}
\includegraphics[width=4cm]{d} \\
\includegraphics[width=4cm]{d}
\end{tabular} &
\begin{tabular}[c]{@{}c@{\,}c@{}}
\includegraphics[width=2cm]{a} & \includegraphics[width=2cm]{b} \\
\includegraphics[width=2cm]{c} & \includegraphics[width=2cm]{a}
\end{tabular} \\
Whole & Details
\end{tabular}
\caption{A table in a table.}
\end{figure*}""",
    ),
    "stacked": (
        "subcaption",
        r"""\begin{figure}
\centering
\shortstack{\includegraphics[width=2.4cm]{a}\\Input}
\shortstack{\includegraphics[width=2.4cm]{b}\\Output}
\parbox[b]{2.5cm}{\includegraphics[width=1.2cm]{c}%
\includegraphics[width=1.2cm]{a}\\\includegraphics[width=2.4cm]{d}}
\caption{Small stacks.}
\end{figure}""",
    ),
    "shared columns": (
        "subcaption",
        r"""\begin{figure*}
\centering
\begin{tabularx}{0.8\textwidth}{@{}XXX@{}}
\includegraphics[width=\linewidth]{a} & \includegraphics[width=\linewidth]{b} &
\includegraphics[width=\linewidth]{c} \\
\centering Input & \centering Ours & \centering\arraybackslash Truth \\
\end{tabularx}
\caption{Columns that share a width.}
\end{figure*}""",
    ),
    "minipages from the top": (
        "subcaption",
        r"""\begin{figure}
\begin{minipage}[t]{0.5\linewidth}
  \vspace{0pt}\centering
  \includegraphics[width=0.9\linewidth]{a}
\end{minipage}%
\begin{minipage}[t]{0.5\linewidth}
  \vspace{0pt}\raggedleft
  \includegraphics[width=0.6\linewidth]{e}\\[2mm]
  \includegraphics[width=0.6\linewidth]{d}
\end{minipage}
\vspace{-3mm}
\begin{center}\scalebox{0.5}{\includegraphics[width=2cm]{b}\quad
\includegraphics[width=2cm]{c}}\end{center}
\caption{From the top.}
\end{figure}""",
    ),
    "columns of minipages": (
        "subcaption",
        r"""\begin{figure*}[!htb]
  \begin{minipage}{0.18\textwidth}
    \centerline{\includegraphics[width=\textwidth]{a}}
    \centerline{\includegraphics[width=\textwidth]{b}}
    \centerline{Input}
  \end{minipage}
  \hfill
  \begin{minipage}{0.18\textwidth}
    \centerline{\includegraphics[width=\textwidth]{c}}
    \vspace{3pt}
    \centerline{\includegraphics[width=\textwidth]{a}}
    \vspace{3pt}
    \centerline{Output}
  \end{minipage}
  \caption{As many papers of one template do it.}
\end{figure*}""",
    ),
    "subfigures in a table": (
        "subfig",
        r"""\begin{figure*}
\centering
\begin{tabular}{c@{\hskip 4pt}c}
\subfloat[One]{\includegraphics[width=4cm]{a}} & \subfloat[Two]{\includegraphics[width=4cm]{b}} \\
\subfloat{\includegraphics[width=4cm]{c}} & \subfloat{\includegraphics[width=4cm]{a}}
\end{tabular}
\caption{Subfloats in a table.}
\end{figure*}""",
    ),
}
"""Name of the package for subfigures, and the figure's text."""


def picture(name: str) -> Image.Image | None:
    """A coloured picture of the paper's source: four times as fine, and it says so."""
    letter = name.removeprefix("figs/").removesuffix(".png")
    if name != f"figs/{letter}.png" or letter not in SIZES:
        return None
    width, height = SIZES[letter]
    image = Image.new("RGB", (4 * width, 4 * height), COLOURS[letter])
    image.info["dpi"] = (288, 288)
    return image


def paper(name: str) -> dict[str, str]:
    """The texts of a paper with one figure."""
    package, figure = STYLES[name]
    return {"main.tex": f"{PREAMBLE % package}{figure}\n\\end{{document}}\n"}
