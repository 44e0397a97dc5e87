"""The API: the entry's own answers, limits, errors, and nothing left behind."""

from __future__ import annotations

import json
import socket
import sys
import tempfile
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from fastapi.testclient import TestClient
from files_on_disk import write_recording

from leadset.cli import main
from leadset.config import default_config
from leadset.entry import load_entry
from leadset.entry.plain import plain_answer
from leadset.leads import LEADS
from leadset.recordings import Recording, find_recordings, read_recording
from leadset.serve.api import Method, create_app
from leadset.simulate import simulate

LIMITS = default_config().serve


@pytest.fixture(scope="module")
def entry():
    return load_entry()


@pytest.fixture(scope="module")
def recordings():
    signals = simulate(3, seed=11, labels="NSR,AF,LBBB").signals
    return [Recording(signal, 500.0, LEADS, f"R{i}", age=60, sex="female") for i, signal in enumerate(signals)]


@pytest.fixture(scope="module")
def files(recordings, tmp_path_factory):
    """Names and contents of the files of the first recording."""
    folder = tmp_path_factory.mktemp("wfdb")
    write_recording(folder, counts=np.rint(recordings[0].signal * 1000).astype(np.int16))
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def client(entry):
    with TestClient(create_app(entry, LIMITS)) as client:
        yield client


def parts(files):
    return [("files", (name, content)) for name, content in files.items()]


def samples_of(recording, unit="mV"):
    scale = {"mV": 1, "uV": 1000}[unit]
    return {
        "samples": (recording.signal.astype(float) * scale).tolist(), "fs": recording.fs,
        "leads": list(recording.leads), "unit": unit, "age": recording.age, "sex": recording.sex,
        "name": recording.name,
    }  # fmt: skip


# --- answers ---------------------------------------------------------------------------------------------------------


def test_files_are_answered_as_the_entry_answers_them(client, entry, files, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    expected = plain_answer(entry.predict(next(tmp_path.glob("*.hea"))), entry.space)
    response = client.post("/v1/predict", files=parts(files))
    assert response.status_code == 200 and response.json() == json.loads(json.dumps(expected))


def test_json_samples_are_answered_as_the_entry_answers_them(client, entry, recordings):
    for recording in recordings:
        expected = plain_answer(entry.predict(recording), entry.space)
        assert client.post("/v1/predict", json=samples_of(recording)).json() == json.loads(json.dumps(expected))


def test_units_signs_and_missing_samples_of_json(client, recordings):
    given = samples_of(recordings[0], "uV")
    given["leads"] = ["-" + lead if lead == "aVR" else lead.lower() for lead in given["leads"]]
    given["samples"][3] = [-value for value in given["samples"][3]]
    given["samples"][0][:5] = [None] * 5
    expected = samples_of(recordings[0])
    expected["samples"][0][:5] = [None] * 5
    first, second = (client.post("/v1/predict", json=one).json() for one in (given, expected))
    assert first["labels"] == second["labels"] and first["flags"] == ["nonfinite:I"]
    names = first["probabilities"]
    assert [names[k] for k in names] == pytest.approx([second["probabilities"][k] for k in names], abs=1e-4)


def test_recordings_are_answered_as_the_entry_answers_them(client, entry, recorded):
    for path in find_recordings(recorded / "challenge" / "training")[::20]:
        uploads = {p.name: p.read_bytes() for p in path.parent.glob(f"{path.stem}.*")}
        expected = plain_answer(entry.predict(path), entry.space)
        assert client.post("/v1/predict", files=parts(uploads)).json() == json.loads(json.dumps(expected))


def test_marks_are_those_of_delineate(client, files, tmp_path):
    from leadset import delineate

    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    recording = read_recording(next(tmp_path.glob("*.hea")))
    expected = delineate(recording.signal, recording.fs)
    marks = client.post("/v1/delineate", files=parts(files)).json()
    assert marks["names"][6] == "R" and marks["leads"] == list(recording.leads)
    np.testing.assert_allclose(np.array(marks["fused"], dtype=float), expected.fused, atol=0.006)
    np.testing.assert_allclose(np.array(marks["by_lead"], dtype=float), expected.marks, atol=0.006)


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_sheet_is_drawn_in_every_format(client, files, kind, start):
    response = client.post("/v1/sheet", files=parts(files), params={"format": kind, "layout": "6x2"})
    assert response.status_code == 200 and response.content.startswith(start)
    assert kind in response.headers["content-type"]
    assert client.post("/v1/sheet", files=parts(files), params={"format": "gif"}).status_code == 422


def test_explanations_are_those_of_explain(client, entry, recordings):
    from leadset.explain import METHODS, explain

    assert METHODS.keys() == set(get_args(Method))
    asked = {"classes": "AF, NSR", "method": "ig"}
    explained = client.post("/v1/explain", json=samples_of(recordings[0]), params=asked).json()
    expected = explain(entry, recordings[0], ["AF", "NSR"], "ig")
    assert list(explained["classes"]) == ["AF", "NSR"] and explained["leads"] == list(LEADS)
    for one in expected.classes:
        np.testing.assert_allclose(np.array(explained["maps"][one.name]), one.map, atol=1e-5)
    unknown = client.post("/v1/explain", json=samples_of(recordings[0]), params={"classes": "XYZ"})
    assert unknown.status_code == 422 and "XYZ" in unknown.json()["detail"]


def test_models_health_and_metrics(client, entry):
    models = client.get("/v1/models").json()
    assert [one["abbreviation"] for one in models["classes"]] == list(entry.space.abbreviations)
    assert models["lead_sets"][0]["networks"] == [member.architecture for member in entry.manifest.sets[0].members]
    assert client.get("/health").json()["status"] == "ok"
    counted = client.get("/metrics").text
    assert 'leadset_requests_total{path="/v1/models",status="200"}' in counted


def test_concurrent_requests_get_their_own_answers(entry, recordings):
    """Recordings that wait together are answered together, with the bits of one at a time."""
    from concurrent.futures import ThreadPoolExecutor

    expected = [json.loads(json.dumps(plain_answer(entry.predict(one), entry.space))) for one in recordings]
    with TestClient(create_app(entry, LIMITS)) as client, ThreadPoolExecutor(6) as pool:
        asked = [i % 3 for i in range(12)]
        got = list(pool.map(lambda i: client.post("/v1/predict", json=samples_of(recordings[i])).json(), asked))
        assert got == [expected[i] for i in asked]


# --- older contracts -------------------------------------------------------------------------------------------------


def test_the_contract_of_predict_with_header_and_signal(client, files):
    header, signal = sorted(files, key=lambda name: not name.endswith(".hea"))
    given = {"hea_file": (header, files[header]), "dat_file": (signal, files[signal])}
    answer = client.post("/predict/", files=given).json()
    assert answer.keys() == {"predictions", "signals"} and answer["predictions"]
    assert len(answer["signals"]) == 12 and len(answer["signals"][0]) == pytest.approx(0.7 * 500, abs=2)
    failed = client.post("/predict/", files={"hea_file": given["hea_file"]})
    assert failed.status_code == 400 and failed.json() == {"detail": "found no file dat_file, expected one"}


def test_the_contract_of_analyze_ecg(client, files):
    header, signal = sorted(files, key=lambda name: not name.endswith(".hea"))
    given = {"hea_file": (header, files[header]), "mat_file": (signal, files[signal])}
    answer = client.post("/analyze_ecg", files=given).json()
    primary = answer["primary_diagnosis"]
    assert answer["success"] is True and primary["probability"] == max(answer["probabilities"].values())
    assert answer["summary"].startswith(f"Primary finding: {primary['name']} (")
    failed = client.post("/analyze_ecg", files=given | {"mat_file": (signal, b"")})
    assert failed.status_code == 422 and failed.json().keys() == {"success", "error"}


# --- bad input -------------------------------------------------------------------------------------------------------


def bad_files(files):
    header = next(name for name in files if name.endswith(".hea"))
    signal = next(name for name in files if name != header)
    text = files[header]
    return {
        "nothing": {},
        "no signal": {header: text},
        "two headers": {header: text, "b.hea": text},
        "no header": {signal: files[signal], "b.mat": files[signal]},
        "empty signal": {header: text, signal: b""},
        "stump": {header: text, signal: files[signal][:200]},
        "noise": {header: b"\x00\xff" * 500, signal: files[signal]},
        "unknown": {"a.pdf": b"%PDF-1.4"},
        "outside": {header: text.replace(signal.encode(), b"../../etc/passwd"), signal: files[signal]},
        "announced days": {header: text.replace(b" 5000", b" 500000000", 1), signal: files[signal]},
    }


@pytest.mark.parametrize("case", ["nothing", "no signal", "two headers", "no header", "empty signal", "stump", "noise",
                                  "unknown", "outside", "announced days"])  # fmt: skip
def test_bad_files_are_problems_that_name_them(client, files, case, tmp_path, monkeypatch):
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(uploads))
    given = bad_files(files)[case]
    response = client.post("/v1/predict", files=parts(given) or [("other", (None, "x"))])
    problem = response.json()
    assert 400 <= response.status_code < 500 and response.headers["content-type"] == "application/problem+json"
    assert problem["status"] == response.status_code and "expected" in problem["detail"]
    assert str(tmp_path) not in problem["detail"] and "upload0" not in problem["detail"]
    assert not list(uploads.iterdir())


@pytest.mark.parametrize(("change", "named"), [
    ({"fs": 5}, "fs"), ({"fs": None}, "fs"), ({"unit": "mm"}, "unit"), ({"leads": ["II"]}, "leads"),
    ({"samples": []}, "samples"), ({"samples": [[0.0] * 4000, [0.0] * 3999], "leads": ["I", "II"]}, "samples"),
    ({"samples": [[0.0] * 4000], "leads": ["Pleth"]}, "leads"), ({"age": 500}, "age"),
    ({"extra": 1}, "expected keys out of samples, fs"),
    ({"samples": [["x"] * 5000], "leads": ["I"]}, "samples"),
])  # fmt: skip
def test_bad_json_is_a_problem_that_names_the_field(client, recordings, change, named):
    response = client.post("/v1/predict", json=samples_of(recordings[0]) | change)
    assert response.status_code == 422 and named in response.json()["detail"]


@pytest.mark.parametrize(("path", "detail"), [
    ("explain?method=foo", "method: found 'foo', expected 'typical', 'eg', 'ig' or 'occlusion'"),
    ("sheet?layout=4x4", "layout: found '4x4', expected '3x4', '6x2', '12x1' or 'strip'"),
    ("sheet?format=jpg", "format: found 'jpg', expected 'png', 'svg' or 'pdf'"),
])  # fmt: skip
def test_a_bad_parameter_is_a_problem_that_names_no_file_of_the_server(client, files, path, detail):
    problem = client.post(f"/v1/{path}", files=parts(files)).json()
    assert (problem["status"], problem["code"], problem["detail"]) == (422, "invalid_parameter", detail)


def test_other_bodies_and_paths(client):
    assert client.post("/v1/predict", content=b"x").status_code == 415
    assert client.post("/v1/predict", content=b"{", headers={"content-type": "application/json"}).status_code == 422
    damaged = client.post("/v1/predict", content=b"x", headers={"content-type": "multipart/form-data; boundary=a"})
    assert damaged.status_code in (400, 422) and damaged.headers["content-type"] == "application/problem+json"
    assert client.get("/nowhere").json()["code"] == "http_404"


def test_limits_of_size_length_and_number(entry, files, recordings):
    with TestClient(create_app(entry, replace(LIMITS, upload_mb=0.1))) as client:
        assert client.post("/v1/predict", files=parts(files)).json()["code"] == "too_large"
    with TestClient(create_app(entry, replace(LIMITS, recording_s=5.0))) as client:
        short = replace(recordings[0], signal=recordings[0].signal[:2, :3000], leads=LEADS[:2])
        assert "6 s" in client.post("/v1/predict", json=samples_of(short)).json()["detail"]
    app = create_app(entry, replace(LIMITS, waiting=1))
    with TestClient(app) as client, app.state.work.request():
        response = client.post("/v1/predict", files=parts(files))
        assert response.status_code == 503 and response.headers["retry-after"] == "1"


def test_a_key_is_asked_for_where_there_is_one(entry, files):
    with TestClient(create_app(entry, LIMITS, "secret")) as client:
        assert client.post("/v1/predict", files=parts(files)).json()["code"] == "unauthorised"
        assert client.get("/v1/models", headers={"X-API-Key": "wrong"}).status_code == 401
        assert client.get("/v1/models", headers={"X-API-Key": "secret"}).status_code == 200
        assert client.get("/health").status_code == 200


def test_a_timeout_is_a_problem(entry, files):
    with TestClient(create_app(entry, replace(LIMITS, timeout_s=60))) as client:
        client.app.state.work.limits = replace(LIMITS, timeout_s=1e-4)
        assert client.post("/v1/predict", files=parts(files)).json()["code"] == "timeout"


def test_the_page_loads_nothing_from_elsewhere(client):
    page = client.get("/")
    assert page.status_code == 200 and "default-src 'self'" in page.headers["content-security-policy"]
    for name in ("page.js", "page.css"):
        text = client.get(f"/static/{name}").text
        assert name in page.text and "http://" not in text and "https://" not in text
    assert "http://" not in page.text and "https://" not in page.text and "Not a medical device" in page.text


def test_the_document_describes_bodies_and_problems(client):
    paths = client.get("/openapi.json").json()["paths"]
    predict = paths["/v1/predict"]["post"]
    assert predict["requestBody"]["content"].keys() == {"multipart/form-data", "application/json"}
    assert {"200", "401", "413", "415", "422", "503", "504"} <= predict["responses"].keys()
    assert {"/v1/delineate", "/v1/anomaly", "/v1/models", "/predict/", "/analyze_ecg", "/health"} <= paths.keys()


@pytest.fixture
def places(monkeypatch):
    """What the verb does to this process is kept from it: numbers of places in memory are noted, turns undone."""
    noted, before = [], sys.getswitchinterval()
    monkeypatch.setattr("leadset.utils.memory.share_memory_of_threads", noted.append)
    monkeypatch.setattr("leadset.utils.workers.available_cores", lambda: 3)
    yield noted
    sys.setswitchinterval(before)


def test_threads_of_the_server_neither_share_memory_nor_wait_long_for_one_another(places, monkeypatch):
    turns, before = [], sys.getswitchinterval()
    monkeypatch.setattr("uvicorn.Server.run", lambda *_: turns.append(sys.getswitchinterval()))
    assert main(["serve", "--port", "0"]) == 1  # it has not started
    assert places == [4] and turns[0] < before / 5


@pytest.mark.usefixtures("places")
def test_it_listens_before_it_says_so(monkeypatch, capsys):
    told = []

    def connect(server, sockets):
        address = sockets[0].getsockname()
        told.append((capsys.readouterr().out, f"http://127.0.0.1:{address[1]} answers with "))
        socket.create_connection(address, timeout=1).close()
        server.started = True

    monkeypatch.setattr("uvicorn.Server.run", connect)
    assert main(["serve", "--port", "0"]) == 0
    assert told[0][0].startswith(told[0][1])


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize(("port", "found"), [("taken", "Address already in use"), ("70000", "no port")])
def test_a_port_that_cannot_be_had_is_a_message(capsys, port, found):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = port.replace("taken", str(taken.getsockname()[1]))
        assert main(["serve", "--port", port]) == 1
    expected = f"found {found}, expected a free port (--port) of this machine (--host)"
    assert capsys.readouterr() == ("", f"leadset serve: 127.0.0.1:{port}: {expected}\n")
