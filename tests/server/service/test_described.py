"""The service as its OpenAPI description says: schemathesis asks what the description allows."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from tests.server.service.serving import Served, png, scene

pytestmark = [
    pytest.mark.slow,
    # Of schemathesis's own dependencies.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


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
            max_examples=300 if operation.method == "post" else 10,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=[*HealthCheck],
            database=None,
            derandomize=True,
        )
        def ask(case: Any, sent: set[str]) -> None:
            if isinstance(case.body, dict):  # else hardly a random file is a picture
                case.body = case.body | {name: pictures[name] for name in sent}
            reply = case.call(base_url="http://localhost", headers=here)
            case.validate_response(reply, checks=checks)
            asked.add((case.method, case.path, reply.status_code))

        ask()
    assert len({path for _, path, _ in asked}) == 6
    assert ("POST", "/v1/predict", 200) in asked
    assert served.predict(prompt="leaf").status_code == 200
