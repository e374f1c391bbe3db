"""Jobs through a killed service, in processes of its own."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from tests.server.service.serving import png, scene
from tests.server.service.test_jobs import packed, unzipped
from tests.server.service.test_processes import running

import vicl

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_service_goes_on_after_the_images_that_are_done(
    tmp_path: Path, workers: str
) -> None:
    size = (200, 300)
    prompter = vicl.VisualPrompter("analogies", [scene(1, size)], "segmentation")
    prompter.save(tmp_path / "heavy.vicl")
    images = {f"{number:02}.png": png(scene(number, size)[0]) for number in range(12)}
    arguments = ["--prompt", "heavy.vicl", "--prompts-only", "--jobs", "jobs"]
    end = time.monotonic() + 120
    with running(arguments, tmp_path) as (process, address), vicl.Client(address) as client:
        id = client.submit(packed(images), prompt="heavy", format="coco").id
        while client.progress(id).done < 3:
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    (partial,) = (tmp_path / "jobs" / id / "answers").glob("*.jsonl")
    before = partial.read_bytes().count(b'"file_name"')
    assert 3 <= before < 12
    arguments += ["--workers", workers]
    with running(arguments, tmp_path) as (_, address), vicl.Client(address) as client:
        job = client.wait(id, every=0.1, timeout=240.0)
        answers = unzipped(client.result(id, tmp_path / "answers.zip").read_bytes())
        counts = client._http.get(f"{address}metrics").text
    assert (job.state, job.done, job.failed) == ("done", 12, 0)
    asked = re.search(r"^vicl_batch_queries_sum (\S+)", counts, re.MULTILINE)
    assert asked is not None
    assert float(asked[1]) == 12 - before, "what is done is not answered again"
    (tmp_path / "photos").mkdir()
    for name, data in images.items():
        (tmp_path / "photos" / name).write_bytes(data)
    from tests.cli.test_cli import vicl as command

    told = command(
        *("predict", str(tmp_path / "photos"), "--prompt", str(tmp_path / "heavy.vicl")),
        *("--format", "coco", "-o", str(tmp_path / "direct.json")),
    )
    assert told.exit_code == 0, told.output
    assert answers["annotations.json"] == (tmp_path / "direct.json").read_bytes()
