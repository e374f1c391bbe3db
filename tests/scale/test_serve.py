"""The deployment that docs/scale.md shows answers as the prompter does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_cli import vicl

ROOT = Path(__file__).parents[2]

ASKING = """
import logging, sys, urllib.request
import ray
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
         logging_level=logging.ERROR)
from ray import serve
from leaf_service import app
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
serve.run(app)
data = open("s-0/00.png", "rb").read()
with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/", data, timeout=120) as said:
    open("served.png", "wb").write(said.read())
serve.shutdown()
ray.shutdown()
"""


@pytest.mark.slow
def test_the_ten_lines_answer(work: Path) -> None:
    text = (ROOT / "docs/scale.md").read_text()
    blocks: list[str] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    [code] = [block for block in blocks if "serve.deployment" in block]
    assert len([line for line in code.splitlines() if line and "import" not in line]) <= 10
    Path("leaf_service.py").write_text(code)
    shown = ("predict", "--example", "in.png", "out.png", "--task", "segmentation")
    assert vicl(*shown, "--model", "copy", "--save-prompt", "leaf.vicl").exit_code == 0
    assert vicl("predict", "s-0/00.png", "--prompt", "leaf.vicl", "-o", "here.png").exit_code == 0
    paths = [str(work), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    can = [sys.executable, "-c", "import ray.serve"]
    if subprocess.run(can, env=environment, capture_output=True, check=False).returncode:
        pytest.skip("Ray Serve is not installed")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASKING, "18765"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    served, here = (
        np.asarray(Image.open(name).convert("RGB")) for name in ("served.png", "here.png")
    )
    assert np.array_equal(served > 0, here > 0)
