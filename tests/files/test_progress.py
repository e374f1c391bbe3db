"""Progress bars: drawn on a terminal, and nowhere else."""

from __future__ import annotations

import io

import pytest

from vicl.files.progress import progress, transfers


class Terminal(io.StringIO):
    """A terminal that remembers what was drawn on it."""

    def isatty(self) -> bool:
        return True


def sit_at_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """To be called by the test itself, since pytest sets standard error anew before it."""
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return screen


def test_a_bar_counts_what_is_done_and_shows_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = sit_at_terminal(monkeypatch)
    with progress("answering [b]", total=9, done=2) as advance:
        advance(3)
        advance(note="loss [1]")
    drawn = terminal.getvalue()
    assert "answering [b]" in drawn
    assert "6/9" in drawn
    assert "loss [1]" in drawn


def test_a_bar_leaves_results_on_standard_output_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = sit_at_terminal(monkeypatch)
    with progress("answering", total=2) as advance:
        print("a result")  # noqa: T201
        advance()
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in terminal.getvalue()


def test_nothing_is_drawn_where_nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = sit_at_terminal(monkeypatch)
    with progress("answering", total=2, show=False) as advance:
        advance(1, note="loss")
    assert terminal.getvalue() == ""


def test_nothing_is_drawn_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("answering", total=2) as advance:
        advance(1, note="loss")
    with transfers() as report:
        report("a.safetensors", 5, None)
    assert capsys.readouterr().err == ""


def test_each_file_on_its_way_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = sit_at_terminal(monkeypatch)
    with transfers() as report:
        report("a.safetensors", 500, 2000)
        report("b.safetensors", 1000, None)
        report("a.safetensors", 2000, 2000)
    drawn = terminal.getvalue()
    assert "a.safetensors" in drawn
    assert "b.safetensors" in drawn
    assert "2.0/2.0 kB" in drawn
