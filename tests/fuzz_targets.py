"""What fuzzing attacks: for each target sound files, and a call that reads them.

The property: a call returns a sound result, or raises an `OSError` or `ValueError` that names a file of its input.
"""

from __future__ import annotations

import io
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from files_on_disk import header_text, make_counts, mat4_bytes, write_recording
from vendor_files import WRITERS, interrupted_edf, interrupted_mfer

from leadset.leads import LEADS
from leadset.recordings import Recording, read_recording
from leadset.signals import FLAGS, HIGHEST_RATE, LOWEST_RATE

Files = dict[str, bytes]


class Violation(AssertionError):
    """The property does not hold."""


@dataclass(frozen=True)
class Target:
    """One target.

    Attributes:
        seeds: the sound inputs, files by name each.
        call: reads the files in a folder and checks the result.
        attacked: endings of the files that are damaged; empty: all.
        named: what a message may name besides a file of the input.
    """

    seeds: Callable[[], list[Files]]
    call: Callable[[Path], None]
    attacked: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    def places(self, files: Files) -> list[str]:
        """Names of the files that are damaged."""
        return [name for name in files if not self.attacked or name.endswith(self.attacked)]


def judge(target: Target, files: Mapping[str, bytes], folder: Path) -> str:
    """``"result"``, or ``"error"`` where the call raised one as it should.

    Raises:
        Violation: the call took more memory than there is, or its message names no file.
        Exception: whatever else the call raised.
    """
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    try:
        target.call(folder)
    except (OSError, ValueError) as error:
        message = str(error)
        if any(word in message for word in ("MemoryError", "Unable to allocate", "Cannot allocate")):
            raise Violation(f"memory: {message[:300]}") from error
        names = [str(folder), *(Path(name).name for name in files), *target.named]
        if not any(name in message for name in names):
            raise Violation(f"names no file: {type(error).__name__}: {message[:300]}") from error
        return "error"
    return "result"


def _collected(write: Callable[[Path], object]) -> Files:
    """What a function writes into a folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# --- Recordings ----------------------------------------------------------------------------------------------------


def check_recording(recording: Recording) -> None:
    """What holds of any recording that is read.

    Raises:
        Violation: it does not.
    """
    shape, signal = recording.signal.shape, recording.signal
    sound = {
        "leads": len(set(recording.leads)) == len(recording.leads) == shape[0] > 0,
        "samples": signal.ndim == 2 and shape[1] > 0 and signal.dtype == np.float32,
        "infinite": not np.isinf(signal).any(),
        "rate": LOWEST_RATE <= recording.fs <= HIGHEST_RATE,
        "age": recording.age is None or 0 <= recording.age <= 120,
        "sex": recording.sex in (None, "female", "male"),
        "name": bool(recording.name.strip()) and not set("/\\\n") & set(recording.name),
        "flags": all(flag in FLAGS for flag in recording.flags),
    }
    wrong = [name for name, holds in sound.items() if not holds]
    if wrong:
        raise Violation(f"unsound recording: {', '.join(wrong)}: {recording.flags} {recording.name!r} {shape}")


def _reads(folder: Path) -> None:
    """Reads the header, or else the one file that is no JSON."""
    files = sorted(path for path in folder.iterdir() if path.suffix != ".json")
    path = next((path for path in files if path.suffix == ".hea"), files[0])
    check_recording(read_recording(path))


def _wfdb(content: bytes, text: str, ending: str = ".mat") -> Files:
    return {"A0001.hea": text.encode(), f"A0001{ending}": content}


def _headers() -> list[Files]:
    counts = make_counts(12, 1200)
    mat = mat4_bytes(counts)
    current = header_text(n_samples=1200, gain="1000.0(0)/mV", form="16x1+24",
                          comments=("# Age: 74", "# Sex: Female", "# Dx: 426783006,164889003"))  # fmt: skip
    lines = "{0} 16 200 16 0 0 0 0 I\n{0} 16 200 16 0 0 0 0 II\n"
    segments = {
        "a.hea": b"a/3 2 250 1500\nlayout 0\ns1 1000\n~ 500\n",
        "layout.hea": f"layout 2 250 0\n{lines.format('~')}".encode(),
        "s1.hea": f"s1 2 250 1000\n{lines.format('s1.dat')}".encode(), "s1.dat": make_counts(2, 1000).T.tobytes(),
    }  # fmt: skip
    return [_wfdb(mat, header_text(n_samples=1200)), _wfdb(mat, current), segments]


def _mats() -> list[Files]:
    from scipy.io import savemat

    counts, text = make_counts(2, 800), header_text(leads=("I", "II"), n_samples=800)
    seeds = [_wfdb(mat4_bytes(counts), text)]
    for matrix, packed in ((counts, True), (counts.astype(float), True), (counts, False)):
        file = io.BytesIO()
        savemat(file, {"val": matrix}, do_compression=packed)
        seeds.append(_wfdb(file.getvalue(), text))

    def write_73(folder: Path) -> None:
        import h5py

        with h5py.File(folder / "A0001.mat", "w", userblock_size=512) as file:
            file.create_dataset("val", data=counts.T, chunks=(200, 2), compression="gzip")

    return [*seeds, {**_wfdb(b"", text), **_collected(write_73)}]


def _dats() -> list[Files]:
    rng, seeds = np.random.default_rng(0), []
    for form, size in ((16, 2400), (212, 1800), (8, 1200), (24, 3600), (32, 4800), (61, 2400), (80, 1200), (160, 2400),
                       (310, 1600), (311, 1600)):  # fmt: skip
        lines = [f"A0001.dat {form}{fields} 200 12 0 0 0 0 {lead}" for lead, fields in (("I", ""), ("II", ":2"))]
        text = "\n".join(["A0001 2 250 600", *lines, "# Age: 50"]) + "\n"
        seeds.append(_wfdb(rng.bytes(size), text, ".dat"))
    return seeds


def _flacs() -> list[Files]:
    import soundfile

    seeds = []
    for form, subtype in ((508, "PCM_S8"), (516, "PCM_16"), (524, "PCM_24")):
        file, lines = io.BytesIO(), [f"A0001.dat {form} 200 12 0 0 0 0 {lead}" for lead in ("I", "II")]
        soundfile.write(file, make_counts(2, 600).T.astype(np.int32) << 16, 250, subtype=subtype, format="FLAC")
        seeds.append(_wfdb(file.getvalue(), "\n".join(["A0001 2 250 600", *lines]) + "\n", ".dat"))
    return seeds


def _vendor(*names: str) -> Callable[[], list[Files]]:
    def seeds() -> list[Files]:
        counts = make_counts(3, 500)
        return [
            _collected(lambda folder, name=name: WRITERS[name][0](folder / name, counts, ("I", "II", "V1"), 500))
            for name in names
        ]

    return seeds


# --- Tables, outputs, configuration --------------------------------------------------------------------------------


def _tables() -> list[Files]:
    own = {"t.csv": "file,labels,patient,fold,age,sex\nr1.hea,A;B,1,1,61,F\nr2.hea,B,2,2,nan,male\n"}
    wide = {"t.csv": "file,AF,NORM,age\nr1.hea,1,0,61\nr2.hea,0,1,\n"}
    ptbxl = {
        "ptbxl_database.csv": "ecg_id,patient_id,age,sex,scp_codes,strat_fold,filename_lr,filename_hr\n"
        "1,15709.0,56.0,1,\"{'NORM': 100.0, 'SR': 0.0}\",3,r1,r1\n2,1.0,300.0,0,{'AFIB': 0.0},10,r2,r2\n",
        "scp_statements.csv": ",description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass\n"
        "NORM,normal,1.0,,,NORM,NORM\nAFIB,fibrillation,,,1.0,,\nSR,sinus,,,1.0,,\n",
    }
    cpsc = {"REFERENCE.csv": "Recording,First_label,Second_label,Third_label\nr1,1,,\nr2,2,5,\n"}
    af = {"REFERENCE-v3.csv": "r1,N\nr2,A\n"}
    ludb = {"ludb.csv": "ID,Sex,Age,Rhythms\n1,F,51,Sinus rhythm\n2,M,64,Atrial fibrillation\n",
            "data/1.hea": "1 1 500 5000\n", "data/1.dat": "", "data/2.hea": "2 1 500 5000\n", "data/2.dat": ""}
    hefei = {"hf_round2_label.txt": "1.txt\t60\tMALE\t窦性心律\n2.txt\t\tFEMALE\t房颤\t右束支传导阻滞\n",
             "train/1.txt": "I II V1 V2 V3 V4 V5 V6\n1 2 3 4 5 6 7 8\n", "train/2.txt": "I II\n1 2\n"}  # fmt: skip
    signals = _collected(lambda folder: [write_recording(folder, name, make_counts(2, 600)) for name in ("r1", "r2")])
    signals = {name: content for name, content in signals.items() if name.startswith("r")}
    seeds = []
    for name, tables in (("table", own), ("wide", wide), ("ptbxl", ptbxl), ("cpsc2018", cpsc), ("af_2017", af),
                         ("ludb", ludb), ("hefei", hefei)):  # fmt: skip
        files = {f"{name}/{file}": text.encode() for file, text in tables.items()}
        seeds.append({**files, **{f"{name}/{file}": content for file, content in signals.items()}})
    return seeds


def _opens_table(folder: Path) -> None:
    from leadset.recordings.importers import open_dataset

    (name,) = {path.name for path in folder.iterdir()}
    options = {"labels": "AF,NORM"} if name == "wide" else {}
    where = f"table:{folder / name / 't.csv'}" if name in ("table", "wide") else f"{name}:{folder / name}"
    data = open_dataset(where, **options)
    for item in data.items:
        if not item.path.is_file() or (item.age is not None and not 0 <= item.age <= 120):
            raise Violation(f"unsound item {item}")


def _outputs() -> list[Files]:
    header = header_text(n_samples=600)
    answers = "#A0001\n426783006,164889003,270492004\n1,0,0\n0.9,0.2,0.1\n"
    files = {f"labels/{name}.hea": header.encode() for name in ("A0001", "A0002")}
    files["labels/A0002.hea"] = header.replace("426783006", "164889003,270492004").encode()
    return [{**files, **{f"outputs/{name}.csv": answers.encode() for name in ("A0001", "A0002")}}]


def _scores(folder: Path) -> None:
    from leadset import scoring

    scores = scoring.evaluate(folder / "labels", folder / "outputs", None)
    for name in ("auroc", "auprc", "accuracy", "f_measure"):
        value = getattr(scores, name)
        if not (math.isnan(value) or -1e-9 <= value <= 1 + 1e-9):
            raise Violation(f"{name} = {value}")
    if not math.isfinite(scores.challenge_metric) and not math.isnan(scores.challenge_metric):
        raise Violation(f"challenge metric {scores.challenge_metric}")
    scoring.scores_text(scores)
    scoring.class_scores_text(scores)


def _configurations() -> list[Files]:
    from leadset.classes import label_space
    from leadset.config import DEFAULT_FILE

    space = label_space("cinc2017").file.read_bytes()
    own = b'epochs = 3\npreset = "compact"\nlead_sets = [12, "II,V5"]\n[leads]\n"MLII" = "II"\n[pretrain]\nbelow = 9\n'
    return [{"leadset.toml": own}, {"leadset.toml": DEFAULT_FILE.read_bytes()}, {"space.toml": space}]


def _configures(folder: Path) -> None:
    from leadset.classes import label_space
    from leadset.config import load_config

    (path,) = folder.iterdir()
    if path.name == "space.toml":
        space = label_space(str(path))
        space.encode(["N", "164889003"])
    else:
        load_config(path, folder=None).summary()


# --- Model folders -----------------------------------------------------------------------------------------------


@cache
def _entry() -> Files:
    """A small entry: one untrained network on two lead sets, with label space and all."""
    from leadset import create_model
    from leadset.classes import label_space
    from leadset.entry.decision import DecisionRule
    from leadset.entry.ensemble import Ensemble
    from leadset.entry.manifest import Manifest, Member, TrainedSet
    from leadset.leads import resolve_leads
    from leadset.utils.weights import save_weights

    def write(folder: Path) -> None:
        space, sets = label_space("cinc2017"), []
        k, rule = len(space), DecisionRule(np.full(len(space), 0.5))
        for leads in map(resolve_leads, (12, 2)):
            options = {"width": 4, "rate": 100, "extra": ["age", "sex"]}
            model = create_model("resnet34", leads, n_classes=k, **options)
            save_weights(folder / f"{len(leads)}.safetensors", model)
            member = Member("resnet34", options, model.input_spec, f"{len(leads)}.safetensors", rule, {}, 1000)
            sets.append(TrainedSet(leads, (member,), Ensemble(np.ones(1), rule)))
        Manifest(space.name, space.keys, np.full(k, 0.25), tuple(sets), {"scores": {}}).write(folder)

    return _collected(write)


@cache
def _example() -> Recording:
    from leadset.simulate import simulate

    return Recording(simulate(1, seed=3).signals[0][:, :1500].astype(np.float32), 500.0, LEADS)


def _answers(folder: Path, path: Path | None = None) -> None:
    from leadset.entry import load_entry

    entry = load_entry(path or folder, device="cpu")
    answer = entry.predict(_example())
    p = answer.probabilities
    if p.shape != (len(entry.space),) or not ((p >= 0) & (p <= 1)).all() or answer.labels.shape != p.shape:
        raise Violation(f"unsound answer {p} {answer.labels}")


def _packages() -> list[Files]:
    from leadset.entry.package import pack

    def write(folder: Path) -> None:
        for name, content in _entry().items():
            (folder / name).write_bytes(content)
        pack(folder, folder / "packed.zip")

    return [{"packed.zip": _collected(write)["packed.zip"]}]


# --- The API -----------------------------------------------------------------------------------------------------


def _requests() -> list[Files]:
    """Bodies; the first line says where they go and their media type."""
    files = dict(_headers()[0])
    boundary, parts = "b", b""
    for name, content in files.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        parts += head.encode() + content + b"\r\n"
    form = parts + f"--{boundary}--\r\n".encode()
    samples = {"samples": make_counts(2, 700).tolist(), "fs": 500, "leads": ["I", "II"], "unit": "uV", "age": 61}
    kind = b"multipart/form-data; boundary=b\n"
    as_json = json.dumps(samples).encode()
    older = form.replace(b'name="files"', b'name="hea_file"', 1)
    return [
        {"request": b"/v1/predict " + kind + form}, {"request": b"/v1/predict application/json\n" + as_json},
        {"request": b"/v1/delineate application/json\n" + as_json},
        {"request": b"/predict/ " + kind + older.replace(b'name="files"', b'name="dat_file"', 1)},
        {"request": b"/analyze_ecg " + kind + older.replace(b'name="files"', b'name="mat_file"', 1)},
    ]  # fmt: skip


@cache
def _client() -> object:
    from fastapi.testclient import TestClient

    from leadset.config import default_config
    from leadset.entry import load_entry
    from leadset.serve.api import create_app

    client = TestClient(create_app(load_entry(), default_config().serve), raise_server_exceptions=True)
    client.__enter__()
    return client


def _asks(folder: Path) -> None:
    head, _, body = (folder / "request").read_bytes().partition(b"\n")
    path, _, kind = head.decode("latin-1").partition(" ")
    kind = "".join(c for c in kind if " " <= c <= "~")
    path = path if path in ("/v1/predict", "/v1/delineate", "/predict/", "/analyze_ecg") else "/v1/predict"
    response = _client().post(path, content=body, headers={"content-type": kind})
    if response.status_code == 200:
        response.json()
        return
    problem = response.json()
    said = problem.get("detail") or problem.get("error")
    if not 400 <= response.status_code < 500 or not isinstance(said, str) or str(tempfile.gettempdir()) in said:
        raise Violation(f"{response.status_code}: {response.text[:300]}")
    raise ValueError(f"request: {said}")


#: All targets by name.
TARGETS: dict[str, Target] = {
    "header": Target(_headers, _reads, (".hea",)),
    "matlab": Target(_mats, _reads, (".mat",)),
    "signal": Target(_dats, _reads),
    "flac": Target(_flacs, _reads),
    "edf": Target(lambda: [*_vendor("a.edf", "b.bdf")(), {"a.edf": interrupted_edf()}], _reads),
    "dicom": Target(_vendor("c.dcm"), _reads),
    "aecg": Target(_vendor("d.xml"), _reads),
    "muse": Target(_vendor("e.xml"), _reads),
    "sierra": Target(_vendor("f.xml"), _reads),
    "ishne": Target(_vendor("g.ecg"), _reads),
    "scp": Target(_vendor("h.scp"), _reads),
    "mfer": Target(lambda: [*_vendor("i.mwf")(), {"i.mwf": interrupted_mfer()}], _reads),
    "arrays": Target(_vendor("j.csv", "k.npz"), _reads),
    "tables": Target(_tables, _opens_table, (".csv", ".txt")),
    "outputs": Target(_outputs, _scores),
    "configuration": Target(_configurations, _configures),
    "entry": Target(lambda: [_entry()], _answers, (".json", ".safetensors")),
    "package": Target(_packages, lambda folder: _answers(folder, folder / "packed.zip")),
    "api": Target(_requests, _asks),
}
