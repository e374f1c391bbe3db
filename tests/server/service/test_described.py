"""The service as its OpenAPI description says: schemathesis asks what the description allows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from tests.server.service.serving import Served, png, scene, serving

pytestmark = [
    pytest.mark.slow,
    # Of schemathesis's own dependencies.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def served(leaf: Path, tmp_path: Path) -> Iterator[Served]:
    with serving(prompts=(leaf,), model="identity", jobs=tmp_path / "jobs") as made:
        yield made


def test_what_the_description_allows_is_never_a_fault_of_the_server(served: Served) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st
    from schemathesis.checks import CHECKS, load_all_checks
    from schemathesis.core.result import Ok

    load_all_checks()
    wanted = (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    )
    checks = CHECKS.get_by_names([*wanted])
    here = {"host": "localhost"}
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", served.client.app, headers=here)
    schema.config.generation.update(
        modes=[schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    )
    picture, mask = map(png, scene(1))
    pictures = {"query": [picture], "example_input": [picture], "example_output": [mask]}
    asked: set[tuple[str, str, int]] = set()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()

        @given(case=operation.as_strategy(), sent=st.sets(st.sampled_from(sorted(pictures))))
        @settings(
            max_examples={"/v1/predict": 300}.get(
                operation.path, 40 if operation.method == "post" else 10
            ),
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=[*HealthCheck],
            database=None,
            derandomize=True,
        )
        def ask(case: Any, sent: set[str]) -> None:
            # Hardly a random file is a picture.
            if isinstance(case.body, dict) and case.path == "/v1/predict":
                case.body = case.body | {name: pictures[name] for name in sent}
            if "prompt" in case.path_parameters:  # else hardly any is one that is loaded
                case.path_parameters["prompt"] = "leaf"
            reply = case.call(base_url="http://localhost", headers=here)
            if reply.status_code == 504:  # it asked for less time than there is
                assert case.body["timeout"] < 10
                return
            case.validate_response(reply, checks=checks)
            asked.add((case.method, case.path, reply.status_code))

        ask()
    assert len({path for _, path, _ in asked}) == 15
    assert ("POST", "/v1/predict", 200) in asked
    assert served.predict(prompt="leaf").status_code == 200
