"""Does `vicl serve` hold under load? With the real default engine for masks, on this machine.

    python benchmarks/server.py [--requests 2000] [--concurrent 32] [--json out.json]

Crops of the bundled photographs, each another (or of the first `--distinct`, over and over), go to
a service in a process of its own; a tenth of the requests is malformed. The same crops are answered
by the prompter called directly in batches, in turns with the service, so that both meet the same
machine; throughput is compared over the rounds in which both answer all. Shown are answers that are
lost or not those of the direct call, refusals, throughput beside the direct one, the times of
requests beside their own compute, and the service's memory. Then the service is told to end in the
middle (SIGTERM), and killed in the middle of a job (SIGKILL) and started again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

import vicl
from vicl.client import ServiceError
from vicl.exports.masks import answer_picture
from vicl.files.packaged import PHOTOS
from vicl.images import encode_image
from vicl.prompting.prompter import VisualPrompter

EXAMPLE: Final = ("dandelion_1.jpg", "dandelion_1_mask.png")
QUERIES: Final = ("dandelion_2.jpg", "dandelion_3.jpg", "meadow_2.jpg", "cat.jpg")
SIDE: Final = 224
ROUNDS: Final = 20
AT_ONCE: Final = 8
"""Queries that go through the engine together, in the service as in the direct call."""
MALFORMED: Final = ("cut", "text", "prompt", "field", "form")


@dataclass
class Load:
    """What came of the requests."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    identical: int = 0
    differing: float = 0.0
    wrong: list[int] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    direct: float = 0.0
    served: float = 0.0
    answered: int = 0
    compared: int = 0
    memory: list[int] = field(default_factory=list)


def crop(number: int) -> bytes:
    """A part of a photograph, as PNG; another for each number."""
    photograph = Image.open(PHOTOS / QUERIES[number % len(QUERIES)]).convert("RGB")
    generator = np.random.default_rng(number)
    x = int(generator.integers(photograph.width - SIDE))
    y = int(generator.integers(photograph.height - SIDE))
    pixels = np.array(photograph.crop((x, y, x + SIDE, y + SIDE)))
    pixels[0, 0] = number % 256, number // 256 % 256, 7  # none is like another
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def picture_bytes(prompter: VisualPrompter, answer: Any) -> bytes:
    """What the service replies with."""
    marks = getattr(prompter.task, "marks", None)
    return encode_image(answer_picture(answer, marks), flat=True)


@contextlib.contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service of the prompt, once it is ready, and its address."""
    command = [sys.executable, "-m", "vicl", "serve", "--prompt", "leaf.vicl", "--prompts-only"]
    command += ["--port", "0", "--deadline", "600", "--max-batch", str(AT_ONCE), *arguments]
    with (folder / "log.txt").open("a") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder
        )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError((folder / "log.txt").read_text()[-2000:])
        yield process, address
    finally:
        process.kill()
        process.communicate()


def malformed(client: vicl.Client, address: str, kind: str, picture: bytes) -> int:
    """Send what cannot be answered; gives the status."""
    form: list[Any] = [("query", ("a.png", picture)), ("prompt", (None, b"leaf"))]
    url = f"{address}v1/predict"
    if kind == "cut":
        form[0] = ("query", ("a.png", picture[: len(picture) // 2]))
    elif kind == "text":
        form[0] = ("query", ("a.png", b"no picture at all"))
    elif kind == "prompt":
        form[1] = ("prompt", (None, b"../leaf"))
    elif kind == "field":
        form.append(("weights", (None, b"mine")))
    else:
        return int(client._http.post(url, content=picture).status_code)
    return int(client._http.post(url, files=form).status_code)


def ask_all(
    load: Load,
    address: str,
    numbers: Sequence[int],
    pictures: dict[int, bytes],
    concurrent: int,
) -> dict[int, bytes]:
    """Ask for all pictures, a tenth of the requests malformed; gives the answers."""
    answers: dict[int, bytes] = {}
    clients = [vicl.Client(address, timeout=900) for _ in range(concurrent)]

    def ask(place: int) -> None:
        client, number = clients[place % concurrent], numbers[place]
        if number % 10 == 9:
            kind = MALFORMED[number // 10 % len(MALFORMED)]
            status = malformed(client, address, kind, pictures[number])
            load.statuses[status] += 1
            if not 400 <= status < 500:
                load.odd.append(f"{kind}: {status}")
            return
        while True:
            began = time.monotonic()
            try:
                (answer,) = client.predict(pictures[number], prompt="leaf")
            except ServiceError as error:
                load.statuses[error.status or 0] += 1
                if error.status != 503 or error.retry_after is None:
                    load.odd.append(str(error))
                    return
                time.sleep(error.retry_after)
                continue
            load.seconds.append(time.monotonic() - began)
            load.statuses[200] += 1
            assert answer.png is not None
            answers[number] = answer.png
            return

    try:
        with ThreadPoolExecutor(concurrent) as pool:
            list(pool.map(ask, range(len(numbers))))
    finally:
        for client in clients:
            client.close()
    return answers


def compare(load: Load, numbers: Sequence[int], direct: Any, served: dict[int, bytes]) -> None:
    """Note answers that are lost, or others' than the direct call's."""
    for number in numbers:
        if number % 10 == 9:
            continue
        if number not in served:
            load.wrong.append(number)
        elif served[number] == direct[number]:
            load.identical += 1
        else:
            one, other = (
                np.asarray(Image.open(io.BytesIO(data)))
                for data in (served[number], direct[number])
            )
            share = float((one != other).mean()) if one.shape == other.shape else 1.0
            load.differing = max(load.differing, share)
            if share > 0.001:
                load.wrong.append(number)


def memory_of(pid: int) -> int:
    """Bytes that a process holds now."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) << 10 if found else 0


def run_load(
    folder: Path, prompter: VisualPrompter, requests: int, concurrent: int, distinct: int
) -> Load:
    """Ask service and prompter in turns."""
    load = Load()
    direct: dict[int, bytes] = {}
    with serving(folder) as (process, address):
        rounds = min(ROUNDS, max(4, requests // (4 * concurrent)))
        for numbers in np.array_split(np.arange(requests), rounds):
            shown = {int(number): int(number) % distinct for number in numbers}
            pictures = {number: crop(of) for number, of in shown.items()}
            asked = {of: pictures[number] for number, of in shown.items() if number % 10 != 9}
            new = [of for of in asked if of not in direct]
            began = time.monotonic()
            images = (Image.open(io.BytesIO(asked[of])) for of in new)
            answers = prompter.map(images, batch_size=AT_ONCE)
            direct |= {
                of: picture_bytes(prompter, answer) for of, answer in zip(new, answers, strict=True)
            }
            taken = time.monotonic() - began
            began = time.monotonic()
            served = ask_all(load, address, list(pictures), pictures, concurrent)
            if len(new) == len(asked):
                load.direct, load.compared = load.direct + taken, load.compared + len(new)
                load.served += time.monotonic() - began
            load.answered += len(served)
            compare(
                load,
                list(pictures),
                {number: direct.get(of) for number, of in shown.items()},
                served,
            )
            load.memory.append(memory_of(process.pid))
            print(
                f"{numbers[-1] + 1} of {requests} requests, {len(load.wrong)} wrong; served "
                f"{load.served / load.compared:.2f} s an answer, direct "
                f"{load.direct / load.compared:.2f}; {load.memory[-1] >> 20} MiB",
                flush=True,
            )
    return load


def run_signal(folder: Path, prompter: VisualPrompter, concurrent: int) -> dict[str, int]:
    """End a service while it answers; what it accepted is to be answered, and rightly."""
    (folder / "log.txt").write_text("")
    pictures = {number: crop(number) for number in range(concurrent)}
    with serving(folder) as (process, address), ThreadPoolExecutor(concurrent) as pool:

        def ask(number: int) -> bytes | None:
            with vicl.Client(address, timeout=900) as client:
                try:
                    return client.predict(pictures[number], prompt="leaf")[0].png
                except ServiceError:
                    return None

        asking = [pool.submit(ask, number) for number in pictures]
        while not any(one.done() for one in asking):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        got = {number: one.result() for number, one in enumerate(asking)}
        code = process.wait(900)
    load = Load()
    answered = {number: png for number, png in got.items() if png is not None}
    direct = {
        number: picture_bytes(prompter, prompter.predict(Image.open(io.BytesIO(pictures[number]))))
        for number in answered
    }
    compare(load, list(answered), direct, answered)
    accepted = (folder / "log.txt").read_text().count("'/v1/predict' 200")
    return {
        "asked": len(got),
        "accepted": accepted,
        "answered": len(answered),
        "wrong": len(load.wrong),
        "exit code": code,
    }


def run_kill(folder: Path, prompter: VisualPrompter, images: int) -> dict[str, int]:
    """Kill a service in the middle of a job, and start it again."""
    pictures = {f"{number:04}.png": crop(number) for number in range(images)}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in pictures.items():
            archive.writestr(name, data)
    jobs = f"{folder}/jobs"
    with serving(folder, "--jobs", jobs) as (process, address), vicl.Client(address) as client:
        job = client.submit(packed.getvalue(), prompt="leaf")
        while client.progress(job).done < images // 3:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = len(list(Path(jobs, job.id, "answers").glob("*.png")))
    with serving(folder, "--jobs", jobs) as (_, address), vicl.Client(address) as client:
        job = client.wait(job, every=0.1)
        result = client.result(job, folder / "answers.zip")
        counts = client._http.get(f"{address}metrics").text
    with zipfile.ZipFile(result) as archive:
        served = {
            number: archive.read(name) for number, name in enumerate(pictures) if number % 10 != 9
        }
    direct = {
        number: picture_bytes(
            prompter, prompter.predict(Image.open(io.BytesIO(pictures[f"{number:04}.png"])))
        )
        for number in served
    }
    load = Load()
    compare(load, list(range(images)), direct, served)
    again = re.search(r"^vicl_batch_queries_sum (\S+)", counts, re.MULTILINE)
    return {
        "images": images,
        "done before": before,
        "answered after": int(float(again[1])) if again else 0,
        "done": job.done,
        "wrong": len(load.wrong),
    }


def shown(load: Load, compute: float, concurrent: int) -> Table:
    """What came of the load, as a table."""
    rate, direct = load.compared / load.served, load.compared / load.direct
    half = load.memory[len(load.memory) // 2 :]
    times = np.percentile(load.seconds, (50, 95, 99))
    table = Table(title=f"Under {concurrent} at once")
    table.add_column("")
    table.add_column("")
    for name, value in (
        ("replies by status", str(dict(sorted(load.statuses.items())))),
        ("lost or wrong answers", str(len(load.wrong))),
        ("byte for byte the direct answer", f"{load.identical} of {load.answered}"),
        ("most pixels that differ", f"{100 * load.differing:.3f}%"),
        ("odd replies", "; ".join(load.odd[:3]) or "none"),
        (
            f"answers a second: served, direct, of {load.compared}",
            f"{rate:.2f}, {direct:.2f}",
        ),
        ("ratio", f"{rate / direct:.2f}"),
        ("p50, p95, p99 of a request", ", ".join(f"{one:.2f} s" for one in times)),
        ("its own compute, alone", f"{compute:.2f} s"),
        (
            "memory over the last half: least, most, at the end",
            ", ".join(str(one >> 20) for one in (min(half), max(half), half[-1])) + " MiB",
        ),
    ):
        table.add_row(name, value)
    return table


def main() -> int:
    """Run all; 1 if an answer was lost or wrong, or a reply was odd."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--concurrent", type=int, default=32)
    parser.add_argument("--distinct", type=int, help="pictures; all are, unless said")
    parser.add_argument("--model", default=None, help="another engine than the default for masks")
    parser.add_argument("--job", type=int, default=60, help="images of the job that is killed")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    distinct = given.distinct or given.requests
    if given.requests < ROUNDS or given.concurrent < 1 or given.job < 3 or distinct < 10:
        parser.error(f"--requests: at least {ROUNDS}; --concurrent: 1; --job: 3; --distinct: 10")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        example = tuple(PHOTOS / name for name in EXAMPLE)
        prompter = VisualPrompter(given.model, [example], "segmentation")
        prompter.save(folder / "leaf.vicl")
        warm = [Image.open(io.BytesIO(crop(number))) for number in range(6)]
        prompter.predict(warm[0])
        began = time.monotonic()
        for image in warm[1:]:
            prompter.predict(image)
        compute = (time.monotonic() - began) / 5
        load = run_load(folder, prompter, given.requests, given.concurrent, distinct)
        Console().print(shown(load, compute, given.concurrent))
        ended = run_signal(folder, prompter, given.concurrent)
        Console().print("SIGTERM in the middle:", ended)
        killed = run_kill(folder, prompter, given.job)
        Console().print("SIGKILL in a job, and a new start:", killed)
    if given.json is not None:
        found = {"load": vars(load), "compute": compute, "SIGTERM": ended, "SIGKILL": killed}
        given.json.write_text(json.dumps(found))
    lost = ended["accepted"] != ended["answered"] or ended["exit code"] or killed["wrong"]
    twice = killed["done before"] + killed["answered after"] != killed["images"]
    return 1 if load.wrong or load.odd or ended["wrong"] or lost or twice else 0


if __name__ == "__main__":
    sys.exit(main())
