"""The published contracts, each with a client not written here where one can be installed."""

from __future__ import annotations

import json

import httpx
import numpy as np
import pandas as pd
import pytest
import tritonclient.http as triton
from serving import COLUMNS, PROBABILITIES, ROW, ROWS, SUMS, serving

ORDER = list(ROW)
TRITON_TYPES = {"x": "FP64", "n": "INT64", "flag": "BOOL", "when": "BYTES", "c": "BYTES", "t": "BYTES"}
WHOLE = [ROW, ROW | {"x": -3.25, "n": 1, "flag": False, "c": "never seen", "t": "é 漢"}]
WHOLE_SUMS = [14.5, -3.25 + 1 + 10]


class TestOpenInferenceProtocol:
    @pytest.fixture
    def client(self, server):
        made = triton.InferenceServerClient(server.url.removeprefix("http://"))
        yield made
        made.close()

    def inputs(self, *, binary, shape=(2,)):
        made = []
        for name, kind in TRITON_TYPES.items():
            values = [row[name] for row in WHOLE]
            tensor = triton.InferInput(name, list(shape), kind)
            dtype = {"FP64": np.float64, "INT64": np.int64, "BOOL": bool, "BYTES": object}[kind]
            values = [v.encode() for v in values] if kind == "BYTES" and binary else values
            tensor.set_data_from_numpy(np.array(values, dtype).reshape(shape), binary_data=binary)
            made.append(tensor)
        return made

    def test_health_and_metadata(self, client):
        assert client.is_server_live() and client.is_server_ready()
        assert client.is_model_ready("sum") and client.is_model_ready("sum", "1")
        assert not client.is_model_ready("absent")
        assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        told = client.get_model_metadata("fraud", "1")
        assert {i["name"]: i["datatype"] for i in told["inputs"]} == TRITON_TYPES
        assert told["versions"] == ["1"]
        assert {o["name"]: (o["datatype"], o["shape"]) for o in told["outputs"]} == {
            "label": ("BYTES", [-1]), "probabilities": ("FP64", [-1, 2]), "prediction_id": ("BYTES", [-1]),
        }  # fmt: skip

    @pytest.mark.parametrize("binary", [True, False])
    @pytest.mark.parametrize("shape", [(2,), (2, 1)])
    def test_infer(self, client, binary, shape):
        found = client.infer("sum", self.inputs(binary=binary, shape=shape), request_id="seven")
        np.testing.assert_array_equal(found.as_numpy("prediction"), WHOLE_SUMS)
        assert found.get_response()["id"] == "seven"
        wanted = [triton.InferRequestedOutput(n, binary_data=binary) for n in ("probabilities", "label")]
        found = client.infer("fraud", self.inputs(binary=binary, shape=shape), outputs=wanted, model_version="1")
        assert [v.decode() if isinstance(v, bytes) else v for v in found.as_numpy("label")] == ["yes", "yes"]
        np.testing.assert_allclose(found.as_numpy("probabilities")[:, 1], 1 / (1 + np.exp(-np.array(WHOLE_SUMS))))
        assert found.as_numpy("prediction_id") is None

    def test_one_tensor_of_all_columns(self, server):
        body = {"inputs": [{"name": "input-0", "shape": [2, 6], "datatype": "BYTES",
                            "data": [["1.5", "2", "true", "", "a", "w"], ["1", "0", "no", "", "b", "w"]]}]}  # fmt: skip
        found = server.post("/v2/models/sum/infer", json=body).json()
        assert found["outputs"][0] == {"name": "prediction", "datatype": "FP64", "shape": [2], "data": [4.5, 1.0]}

    @pytest.mark.parametrize(("change", "message"), [
        ({"datatype": "FP128"}, "datatype 'FP128'"),
        ({"datatype": []}, "datatype '[]'"), ({"shape": [2, 2, 2]}, "has the shape [2, 2, 2]"),
        ({"shape": [3]}, "has 1 values and the shape [3]"), ({"shape": [-1]}, "has the shape [-1]"),
        ({"data": ["abc"]}, "holds 'abc' in row 0 and is declared FP64"), ({"data": 3}, "has no data"),
        ({"name": "y"}, "lacks 1 column"), ({"name": "n"}, "comes twice"), ({"name": 3}, "has no name"),
        ({"parameters": {"binary_data_size": 8}}, "does not fit its shape"),
        ({"parameters": {"binary_data_size": "x"}}, "no whole binary_data_size"),
    ])  # fmt: skip
    def test_faults_are_named(self, server, change, message):
        tensors = [{"name": n, "datatype": k, "shape": [1], "data": [ROW[n]]} for n, k in TRITON_TYPES.items()]
        answer = server.post("/v2/models/sum/infer", json={"inputs": [tensors[0] | change, *tensors[1:]]})
        assert answer.status_code == 422, answer.text
        assert message in answer.json()["error"]

    def test_faults_of_the_request(self, server):
        for body, status in (({}, 422), ({"inputs": []}, 422), ({"inputs": 3}, 422), ([], 422)):
            assert server.post("/v2/models/sum/infer", json=body).status_code == status
        tensors = [{"name": n, "datatype": k, "shape": [1], "data": [ROW[n]]} for n, k in TRITON_TYPES.items()]
        answer = server.post("/v2/models/sum/infer", json={"inputs": tensors, "outputs": [{"name": "z"}]})
        assert "there is no output 'z'" in answer.json()["error"]
        answer = server.post("/v2/models/sum/infer", json={"inputs": tensors, "outputs": [{"name": []}]})
        assert answer.status_code == 422 and "there is no output '[]'" in answer.json()["error"]
        for length in ("99999", "9" * 5000):
            headers = {"inference-header-content-length": length}
            assert server.post("/v2/models/sum/infer", json={}, headers=headers).status_code == 400

    def test_missing_values(self, server):
        tensors = [
            {"name": n, "datatype": k, "shape": [3], "data": [r[n] for r in ROWS]} for n, k in TRITON_TYPES.items()
        ]
        assert server.post("/v2/models/sum/infer", json={"inputs": tensors}).json()["outputs"][0]["data"] == SUMS


class TestMlflow:
    @pytest.mark.filterwarnings("ignore:.*Any type hint.*:UserWarning")  # at importing mlflow
    def test_its_own_client(self, server):
        from mlflow.pyfunc.scoring_server.client import ScoringServerClient

        client = ScoringServerClient("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
        client.wait_server_ready(timeout=10)
        assert client.get_version().startswith("tabwright")
        frame = pd.DataFrame({name: [row[name] for row in ROWS] for name in ORDER})
        found = client.invoke(frame.astype({"x": float}))
        assert found.get_predictions()[0].tolist() == ["yes", "yes", "no"]

    @pytest.mark.parametrize("body", [
        {"dataframe_split": {"columns": ORDER, "index": [0, 1, 2], "data": [[r[n] for n in ORDER] for r in ROWS]}},
        {"dataframe_records": ROWS}, {"instances": ROWS}, {"inputs": {n: [r[n] for r in ROWS] for n in ORDER}},
    ], ids=lambda body: next(iter(body)))  # fmt: skip
    def test_documented_requests(self, server, body):
        answer = server.post("/invocations", json=body)
        assert answer.json() == {"predictions": ["yes", "yes", "no"]}
        answer = server.post("/invocations", json=body | {"params": {"method": "predict_proba"}}).json()
        np.testing.assert_allclose(np.array(answer["predictions"])[:, 1], PROBABILITIES)

    def test_faults(self, server):
        for content in ({"columns": ORDER}, 3, {"columns": ORDER, "data": 3}, {"columns": 3, "data": []}):
            assert server.post("/invocations", json={"dataframe_split": content}).status_code == 422


def test_azure_ml(server):
    """The request of learn.microsoft.com/azure/machine-learning/how-to-deploy-mlflow-models-online-endpoints."""
    body = {"input_data": {"columns": ORDER, "index": [0, 1, 2], "data": [[r[n] for n in ORDER] for r in ROWS]}}
    assert server.post("/score", json=body).json() == ["yes", "yes", "no"]
    assert server.get("/").status_code in (200, 307)  # its liveness probe


class TestSageMaker:
    LINES = '1.5,2,true,1970-01-01T00:00:10,a,text\n,0,false,,,""\n-3.25,1,,1970-01-01T00:00:01,never seen,é 漢\n'

    def test_ping(self, server):
        answer = server.get("/ping")
        assert (answer.status_code, answer.content) == (200, b"")

    def test_csv_without_a_header(self, server):
        answer = server.post("/invocations", content=self.LINES, headers={"content-type": "text/csv"})
        assert answer.text == "yes\nyes\nno\n"
        assert answer.headers["content-type"].startswith("text/csv")
        assert len(answer.headers["x-prediction-id"].split(",")) == 3

    def test_json_lines_in_and_out(self, server):
        body = "".join(json.dumps(row) + "\n" for row in ROWS)
        headers = {"content-type": "application/jsonlines", "accept": "application/jsonlines"}
        lines = server.post("/invocations", content=body, headers=headers).text.splitlines()
        assert [json.loads(line)["predicted_label"] for line in lines] == ["yes", "yes", "no"]

    def test_a_container_as_sagemaker_starts_it(self, models):
        with serving(models, SAGEMAKER_INFERENCE_OUTPUT="predicted_label,probability,labels") as run:
            answer = run.post("/invocations", content=self.LINES, headers={"content-type": "text/csv"})
            label, probability, labels = answer.text.splitlines()[2].split(",", 2)
            assert (label, labels) == ("no", '"[""no"",""yes""]"')
            assert float(probability) == pytest.approx(1 - PROBABILITIES[2])


def test_vertex_ai(models):
    """Routes and port as in cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements."""
    routes = {"AIP_HEALTH_ROUTE": "/healthz", "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict"}
    with serving(models, **routes) as run:
        assert run.get("/healthz").status_code == 200
        answer = run.post(routes["AIP_PREDICT_ROUTE"], json={"instances": ROWS, "parameters": {"any": 1}}).json()
        assert answer["predictions"][0]["classes"] == ["no", "yes"]
        np.testing.assert_allclose([p["scores"][1] for p in answer["predictions"]], PROBABILITIES)
        assert run.post(routes["AIP_PREDICT_ROUTE"], json={"rows": ROWS}).status_code == 422


def test_vertex_ai_where_this_servers_own_form_is_answered_else(models):
    with serving(models / "sum.onnx", AIP_PREDICT_ROUTE="/predict") as run:
        assert run.post("/predict", json={"instances": ROWS}).json() == {"predictions": SUMS}


def test_vertex_ai_numbers(models):
    with serving(models / "sum.onnx") as run:
        assert run.post("/vertex/predict", json={"instances": ROWS}).json() == {"predictions": SUMS}
        body = {"instances": [[r["x"], r["n"], r["flag"], r["when"], r["c"], r["t"]] for r in ROWS]}
        assert run.post("/vertex/predict", json=body).json() == {"predictions": SUMS}
        answer = run.post("/invocations", json=ROWS).json()
        assert answer == {"predictions": [{"predicted_label": s} for s in SUMS]}
        assert run.post("/invocations", json={"inputs": ROWS}).json() == {"predictions": SUMS}


def test_every_protocol_gives_the_same_number(server):
    """One row through every route, and the runtime's own answer."""
    used = [c.name for c in COLUMNS if c.used]
    tensors = [{"name": n, "datatype": TRITON_TYPES[n], "shape": [1], "data": [ROW[n]]} for n in used]
    with httpx.Client(base_url=server.url, timeout=60) as http:
        found = {
            http.post("/models/sum/predict", json=ROW).json()["predictions"][0],
            http.post("/v2/models/sum/infer", json={"inputs": tensors}).json()["outputs"][0]["data"][0],
        }
    assert found == {SUMS[0]}
