"""The OpenAPI description, and what generated requests make of the server."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,  # fmt: skip
)
from serving import BINARY, ROW, serving

from tabwright.serve.openapi import document, example
from tabwright.serve.registry import Registry


@pytest.fixture(scope="module")
def described(models):
    return document(Registry((str(models),)), needs_key=True)


def test_it_has_the_models_own_columns(described):
    row = described["components"]["schemas"]["Row.fraud"]
    assert list(row["properties"]) == row["required"] == [c.name for c in BINARY.used]
    assert row["properties"]["c"]["examples"] == ["a", "b", "ü"]
    assert row["properties"]["x"] == {"type": ["number", "null"], "description": "numeric; from -3 to 3 in training"}
    assert row["properties"]["flag"]["type"] == ["boolean", "null"]
    assert described["security"] == [{"bearer": []}, {"key": []}]
    assert "/v2/models/sum/infer" in described["paths"]
    answer = described["components"]["schemas"]["Answer.fraud"]["properties"]
    assert answer["predictions"]["items"]["enum"] == ["no", "yes"]


def test_its_examples_are_accepted(server, described):
    paths = server.get("/openapi.json").json()["paths"]
    asked = 0
    for path, operations in paths.items():
        post = operations.get("post")
        if post is None or path == "/feedback":
            continue
        body = post["requestBody"]["content"]["application/json"]["example"]
        answer = server.post(path, json=body)
        assert answer.status_code == 200, (path, answer.text)
        asked += 1
    assert asked == 8
    assert server.get("/openapi.json").json()["paths"].keys() == described["paths"].keys()


def test_the_example_row(models):
    served = Registry((str(models),)).get("sum")
    assert example(served).keys() == ROW.keys()
    assert served.model.predict(example(served)).shape == (1,)


@pytest.mark.filterwarnings("ignore")  # of schemathesis and hypothesis about their own generators
def test_generated_requests_find_no_fault(models):
    with serving(models) as run:
        schema = schemathesis.openapi.from_url(f"{run.url}/openapi.json")
        checks = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
        tried = []
        for result in schema.get_all_operations():
            for mode in GenerationMode:  # requests that fit the description, and ones that do not
                if mode is GenerationMode.NEGATIVE and result.ok().method == "get":
                    continue

                @given(case=result.ok().as_strategy(generation_mode=mode))
                @settings(max_examples=30, suppress_health_check=list(HealthCheck), database=None,
                          derandomize=True, phases=[Phase.generate])  # fmt: skip
                def ask(case):
                    tried.append(case.operation.label)
                    case.call_and_validate(checks=list(checks))

                ask()
        assert len(set(tried)) == len(schema.raw_schema["paths"])
        assert len(tried) > 400
        assert run.get("/ping").status_code == 200
        assert not any("Traceback" in line for line in run.lines)
