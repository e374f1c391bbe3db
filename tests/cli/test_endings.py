"""How the command line ends: after Ctrl-C, without a reader, and what it prints of odd names."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from tests.cli.test_cli import COPY, pixels, vicl
from tests.prompting.test_prompter import scene

from vicl.images import save_image, to_pil


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an example and two queries."""
    monkeypatch.chdir(tmp_path)
    image, mask = scene(90)
    save_image(to_pil(image), "in.png")
    Image.fromarray(mask).save("out.png")
    for name, seed in (("q/a.png", 1), ("q/b.png", 2)):
        save_image(to_pil(scene(seed)[0]), name)
    return tmp_path


@contextmanager
def process(
    *arguments: str, code: str = "from vicl.cli import main; main()"
) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, which signals can be sent to."""
    # Where the tests run in the background, a shell has Ctrl-C ignored, also by what they start.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    with subprocess.Popen(
        [sys.executable, "-c", heard + code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as running:
        yield running


@pytest.mark.slow
def test_ctrl_c_says_how_many_were_answered_and_how_to_go_on(work: Path) -> None:
    for number in range(60):
        save_image(to_pil(scene(number)[0]), f"many/{number:03}.png")
    with process(*COPY, "many", "-o", "answers", "--batch-size", "1") as running:
        for _ in range(3):
            running.stdout.readline()
        running.send_signal(signal.SIGINT)
        # Not by communicate(), which passes over what readline() has in its buffer.
        rest, said = running.stdout.read(), running.stderr.read()
        running.wait(timeout=60)
    answered = 3 + len(rest.splitlines())
    assert running.returncode == 130
    assert said == f"error: stopped: {answered} answered; go on with --skip-existing\n"
    assert len(list(Path("answers").glob("[!.]*"))) in (answered, answered + 1)
    resumed = vicl(*COPY, "many", "-o", "answers", "--skip-existing")
    assert resumed.exit_code == 0
    assert len(list(Path("answers").glob("[!.]*"))) == 60


@pytest.mark.slow
def test_ctrl_c_while_queries_are_still_listed(work: Path) -> None:
    with process(*COPY, "-", "--json") as running:
        running.stdin.write("q/a.png\n")
        running.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(timeout=1.5)
        running.send_signal(signal.SIGINT)
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) == 130
        assert running.stderr.read() == "error: stopped: 0 answered\n"


IMPORTED = """
import os, signal, sys
from vicl.cli import main
open("slow.py", "w").write(
    "import os, signal\\n"
    "os.kill(os.getpid(), signal.SIGINT)\\n"
    "sum(range(1000))\\n"
    "open('whole.txt', 'w').close()\\n"
)
sys.path.insert(0, ".")
def command(_):
    import slow, time
    time.sleep(30)
main.get_command = lambda ctx, name: __import__("click").Command("x", callback=lambda: command(0))
main(["x"])
"""


def test_ctrl_c_during_an_import_waits_for_its_end(work: Path) -> None:
    with process(code=IMPORTED) as running:
        assert running.wait(timeout=20) == 130
        assert running.stderr.read() == "error: stopped\n"
    assert Path("whole.txt").exists()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("models",), ("evaluate", "--help"), (*COPY, "q", "--json")])
def test_a_reader_that_leaves_is_no_error(work: Path, arguments: tuple[str, ...]) -> None:
    with process(*arguments) as running:
        running.stdout.close()
        assert running.wait(timeout=60) == 141
        assert running.stderr.read() == ""


def test_names_are_printed_in_one_line(work: Path) -> None:
    name = "new\nline\x1b[2J.png"
    save_image(to_pil(scene(1)[0]), name)
    result = vicl(*COPY, name, "-o", "answers/")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == r"'answers/new\nline\x1b[2J.png'" + "\n"
    Path(name).write_bytes(b"broken")
    broken = vicl(*COPY, name, "-o", "others/")
    assert broken.exit_code == 1
    assert "\x1b" not in broken.stderr
    assert len(broken.stderr.splitlines()) == 2
    row = json.loads(vicl(*COPY, name, "--json").stdout)
    assert row["query"] == name
    assert "image" in row["error"]


@pytest.mark.parametrize(
    "listed",
    [
        b"q/a.png\nq/b.png\n",
        b"q/a.png\r\nq/b.png\r\n",
        b"q/a.png\r\nq/b.png",
        b"q/a.png\0q/b.png\0",
        b"\xef\xbb\xbfq/a.png\r\n\r\nq/b.png\r\n",
        "q/a.png\r\nq/b.png\r\n".encode("utf-16"),
    ],
)
def test_lists_end_their_lines_as_their_systems_do(work: Path, listed: bytes) -> None:
    result = vicl(*COPY, "-", "--json", stdin=listed)
    assert result.exit_code == 0, result.stderr
    names = [json.loads(line)["query"] for line in result.stdout.splitlines()]
    assert names == ["q/a.png", "q/b.png"]


def test_names_with_line_ends_in_them(work: Path) -> None:
    for name in ("q/c\n.png", "q/d.png\r"):
        Path(name).write_bytes(Path("q/a.png").read_bytes())
    zeros = vicl(*COPY, "-", "-o", "answers/", stdin=b"q/c\n.png\0")
    assert zeros.exit_code == 0, zeros.stderr
    assert pixels("answers/c\n.png").shape == (30, 40)
    lines = vicl(*COPY, "-", "--json", stdin=b"q/d.png\r\n")
    assert json.loads(lines.stdout)["query"] == "q/d.png\r"
    assert vicl(*COPY, "-", "--json", stdin=b"\r\n\r\n").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("predict", "q/a.png", "--example", "in.png", "-o", "s.png"), "--example takes IN OUT"),
        (("predict", "q/a.png", "--example", "in.png", "out.png", "-o", "--json"), "--json came"),
        ((*COPY, "q/a.png", "--json", "--classes", "--debug"), "--debug came"),
        (("train", "x", "--set", "--resume"), "--set takes KEY=VALUE"),
        (("demo", "-o", "--seed", "1"), "--seed came"),
        ((*COPY, "q/a.png", "--json", "--seed", "-5"), "--seed"),
        ((*COPY, "q/a.png", "--json", "--seed", str(1 << 63)), "--seed"),
        (("demo", "--seed", str(1 << 63)), "--seed"),
        (("figures", "synthesize", "f", "--seed", str(1 << 63)), "--seed"),
        (("figures", "synthesize", "f", "--size", "-16"), "--size"),
        (("figures", "synthesize", "f", "--patch-size", "0"), "--patch-size"),
        (("figures", "synthesize", "f", "--size", "225"), "size: got 225"),
        (("figures", "synthesize", "f", "--clean", "nan"), "clean: got nan"),
        (("evaluate", "shapes", "--seed", str(1 << 63)), "--seed"),
        ((*COPY, "q/a.png", "--json", "--white", "nan"), "white: got nan"),
        ((*COPY, "q/a.png", "--json", "--samples", "2", "--temperature", "nan"), "temperature"),
        ((*COPY, "q/a.png", "--json", "--batch-size", str(10**30)), "batch_size: got 1"),
        ((*COPY, "q/a.png", "--json", "--tile", "15"), "--tile"),
    ],
)
def test_what_cannot_be_is_refused_at_the_start(
    work: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = vicl(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.stderr
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_errors_speak_the_command_lines_words(work: Path) -> None:
    coco = (*COPY, "q/a.png", "-o", "all.json", "--format", "coco")
    assert vicl(*coco).exit_code == 0
    exists = vicl(*coco).stderr
    assert "by --skip-existing, or start anew by --overwrite" in exists
    assert vicl(*COPY, "--save-prompt", "p.vicl").exit_code == 0
    other = vicl("predict", "q/a.png", "--json", "--prompt", "p.vicl", "--model", "identity").stderr
    assert "on purpose by --any-model and" in other
    large = vicl(*COPY, "q/a.png", "--json", "--limit-pixels", "100").stderr
    assert "by --limit-pixels N" in large
    assert "=" not in exists + other
