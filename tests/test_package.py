"""A model folder as one file, its card, and what is refused in files from strangers."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from untrained_entry import write_untrained_entry

import leadset
from leadset.cli import main
from leadset.entry.card import card_text
from leadset.entry.manifest import FILE_NAME
from leadset.entry.package import DIGESTS, pack, unpack
from leadset.recordings import find_recordings
from leadset.simulate.write import write_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    write_untrained_entry(path)
    (path / "split.csv").write_text("recording,part\nsecret,train\n")
    return path


@pytest.fixture(scope="module")
def package(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("package") / "entry.zip"
    assert main(["pack", str(folder), "-o", str(path)]) == 0
    return path


def test_a_packed_entry_answers_alike(folder, package, tmp_path):
    list(write_dataset(tmp_path / "data", 2, seed=6))
    paths = find_recordings(tmp_path / "data")
    expected = list(leadset.load_entry(folder, "cpu").predict(paths))
    assert main(["unpack", str(package), str(tmp_path / "model")]) == 0
    for model in (package, tmp_path / "model"):
        for answer, other in zip(leadset.load_entry(model, "cpu").predict(paths), expected, strict=True):
            np.testing.assert_array_equal(answer.probabilities, other.probabilities)
    assert not (tmp_path / "model/split.csv").exists()
    assert (tmp_path / "model/README.md").is_file()
    assert main(["unpack", str(package), str(tmp_path / "model")]) == 1


def test_a_packed_entry_writes_the_outputs_of_its_folder(folder, package, tmp_path):
    list(write_dataset(tmp_path / "data", 1, seed=6))
    for model, outputs in ((folder, "of_folder"), (package, "of_file")):
        assert main(["predict", str(model), str(tmp_path / "data"), str(tmp_path / outputs)]) == 0
    (expected,) = (tmp_path / "of_folder").iterdir()
    assert (tmp_path / "of_file" / expected.name).read_bytes() == expected.read_bytes()
    with pytest.raises(SystemExit, match="2"):
        main(["predict", str(package), str(tmp_path / "data")])


STRANGE = {"sha256": "", "bytes": 1}


def changed(package, path, change):
    """A copy of a package, in which ``change`` alters names and contents."""
    with zipfile.ZipFile(package) as source:
        files = {item.filename: source.read(item) for item in source.infolist()}
    change(files)
    with zipfile.ZipFile(path, "w") as target:
        for name, content in files.items():
            target.writestr(name, content)
    return path


def relist(files, **sizes):
    listed = json.loads(files[DIGESTS])
    listed["files"].update(sizes)
    files[DIGESTS] = json.dumps(listed).encode()


@pytest.mark.parametrize("change, message", [
    (lambda files: files.update({FILE_NAME: files[FILE_NAME] + b" "}), "entry.json has .* bytes, expected"),
    (lambda files: files.update({FILE_NAME: b"[" + files[FILE_NAME][1:]}), "entry.json is not what digests.json says"),
    (lambda files: files.update({"more.json": b"{}"}), "found more.json, expected what digests.json lists"),
    (lambda files: files.pop(DIGESTS), "found no list digests.json"),
    (lambda files: files.update({DIGESTS: b"[]"}), "digests.json is no list"),
    (lambda files: relist(files, **{"../evil.json": STRANGE}), "found '../evil.json', expected plain"),
    (lambda files: relist(files, **{"/evil.json": STRANGE}), "found '/evil.json', expected plain"),
    (lambda files: relist(files, **{"evil.pkl": STRANGE}), "found 'evil.pkl', expected plain"),
])  # fmt: skip
def test_packages_that_were_changed_are_refused(package, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        unpack(changed(package, tmp_path / "x.zip", change), tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "x.zip"]


def test_what_is_no_package_is_refused(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"x\.zip: not a packed entry"):
        leadset.load_entry(tmp_path / "x.zip")
    with pytest.raises(FileNotFoundError):
        pack(tmp_path, tmp_path / "y.zip")
    assert not (tmp_path / "y.zip").exists()


def test_the_card_says_what_an_entry_is(folder):
    card = (folder / "README.md").read_text()
    assert "| 12 | resnet34, star, mvms_net" in card and "Not a medical device" in card
    assert "None were measured" in card
    values = json.loads((folder / FILE_NAME).read_text())
    score = {"value": 0.9, "low": 0.85, "high": 0.95}
    values["provenance"] = {
        "data": {"train": 80, "validation": 20, "fingerprint": "abc"}, "seed": 3,
        "scores": {"12": {"auroc": score, "challenge_metric": score, "recordings": 20, "part": "validation"}},
    }  # fmt: skip
    text = card_text(values, ["A", "B"])
    assert "2 classes for recordings of any sampling rate, in this order: A, B" in text
    assert "80 train, 20 validation" in text and "0.900 (0.850 to 0.950)" in text and "**Seed**: 3" in text


@pytest.mark.parametrize("options", [{"width": 1 << 14}, {"width": 4, "blocks": [100_000] * 4}, {"rate": 10**9}])
def test_options_beyond_the_file_take_no_memory(folder, tmp_path, options):
    import resource

    values = json.loads((folder / FILE_NAME).read_text())
    for one in values["lead_sets"]:
        one["members"][0]["options"] = {**one["members"][0]["options"], **options}
    model = tmp_path / "model"
    model.mkdir()
    for file in folder.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    (model / FILE_NAME).write_text(json.dumps(values))
    entry = leadset.load_entry(model, "cpu")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="resnet34"):
        entry.load(("I", "II"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes
