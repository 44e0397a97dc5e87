"""The packed store: parallel, resumable, safe against damage, shared."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from files_on_disk import make_counts, write_recording
from recordings_on_disk import recordings_in

from leadset.leads import LEADS
from leadset.preprocess import Transform, prepare
from leadset.recordings import find_recordings, read_recording
from leadset.store import packed as store_module
from leadset.store.packed import CHUNK, build_store
from leadset.utils.workers import cluster

TRANSFORM = Transform(250)


@pytest.fixture
def data(tmp_path):
    """Three folders of recordings, among them a duplicate at another gain, a bad header and a header without signal."""
    folder = tmp_path / "data"
    for i in range(CHUNK + 3):
        write_recording(folder / "alpha" / "g1", f"A{i:04}", make_counts(n_samples=300 + i, seed=i))
    write_recording(folder / "beta" / "g1", "B0001", make_counts(n_samples=300, seed=0), gain="500/mV")
    write_recording(folder / "beta" / "g2", "B0002", make_counts(n_samples=500, seed=99), text="B0002 12 500 500\n")
    write_recording(folder / "gamma", "C0001", make_counts(seed=5))
    (folder / "gamma" / "C0001.mat").unlink()
    return folder


def build(data, cache, transform=TRANSFORM, n_jobs=1):
    return build_store(find_recordings(data), transform, cache, n_jobs=n_jobs, progress=False)


def test_holds_what_prepare_gives(data, tmp_path):
    store = build(data, tmp_path / "cache")
    assert len(store) == CHUNK + 4
    for i in (0, 7, CHUNK + 1, len(store) - 1):
        entry = store.recordings[i]
        recording = read_recording(entry.path)
        expected = prepare(recording.signal, recording.fs, recording.leads, TRANSFORM)
        samples, statistics = store[i]
        np.testing.assert_array_equal(samples, expected.samples)
        np.testing.assert_array_equal(statistics, expected.statistics)
        assert (entry.name, entry.codes, entry.age, entry.n_samples) == (
            recording.name, recording.codes, recording.age, samples.shape[1],
        )  # fmt: skip


def test_lists_what_cannot_be_read_and_goes_on(data, tmp_path):
    store = build(data, tmp_path / "cache")
    reasons = {failure.path.rsplit("/", 1)[1]: failure.message for failure in store.failures}
    assert set(reasons) == {"B0002.hea", "C0001.hea"}
    assert all("found" in reason and "expected" in reason for reason in reasons.values())


def test_whatever_is_wrong_names_the_file(tmp_path):
    path = write_recording(tmp_path, "A0001", make_counts(1), leads=("RESP",))
    (failure,) = build_store([path], Transform(), tmp_path / "cache").failures
    assert failure.message.startswith(f"{path}: no usable lead: found RESP")


@pytest.mark.parametrize("count", [0, 700, -32768])
def test_a_recording_without_a_signal_is_not_learnt_from(tmp_path, count):
    counts = np.full((12, 1000), count, dtype=np.int16)
    store = build_store([write_recording(tmp_path, "A0001", counts)], Transform(), tmp_path / "cache", progress=False)
    assert not len(store)
    assert "no usable lead" in store.failures[0].message


def test_duplicates_share_a_digest_whatever_their_gain(data, tmp_path):
    store = build(data, tmp_path / "cache")
    digests = {recording.name: recording.digest for recording in store.recordings}
    assert digests["A0000"] == digests["B0001"] != digests["A0001"]


def test_source_is_the_data_set_not_its_group(data, tmp_path):
    assert {recording.source for recording in build(data, tmp_path / "cache").recordings} == {"alpha", "beta"}


def test_processes_build_the_same_bytes(data, tmp_path):
    build(data, tmp_path / "one")
    build(data, tmp_path / "two", n_jobs=2)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


def test_second_build_reads_no_recording(data, tmp_path, monkeypatch):
    first = build(data, tmp_path / "cache")
    monkeypatch.setattr(store_module, "read_recording", lambda path, lead_names: pytest.fail(f"{path} was read again"))
    second = build(data, tmp_path / "cache")
    assert second.recordings == first.recordings
    assert second.failures == first.failures


def test_changed_file_and_other_transform_are_built_anew(data, tmp_path):
    build(data, tmp_path / "cache")
    write_recording(data / "alpha" / "g1", "A0003", make_counts(n_samples=777, seed=3))
    store = build(data, tmp_path / "cache")
    assert [r.n_samples for r in store.recordings if r.name == "A0003"] == [round(777 / 2 + 0.1)]
    assert build(data, tmp_path / "cache", Transform(500)).recordings[0].n_samples == 300


def test_other_lead_names_are_built_anew_and_none_are_found_again(data, tmp_path):
    first = build(data, tmp_path / "cache")
    paths, names = find_recordings(data), {"v1": "-V2", "v2": "V1"}
    named = build_store(paths, TRANSFORM, tmp_path / "cache", n_jobs=1, progress=False, lead_names=names)
    assert not set(first.files) & set(named.files)
    np.testing.assert_array_equal(named[0][0][6], first[0][0][7])
    np.testing.assert_array_equal(named[0][1][0, 6], first[0][1][0, 7])
    assert named[0][0][7].any() and (named[0][0][7] != first[0][0][6]).any()
    assert build_store(paths, TRANSFORM, tmp_path / "cache", progress=False, lead_names={}).files == first.files


@pytest.mark.parametrize("damage", ["truncate", "flip", "no index", "half an index", "index of another shape"])
def test_damaged_chunks_are_built_again(data, tmp_path, damage):
    cache = tmp_path / "cache"
    whole = build(data, cache)
    samples = [np.array(whole[i][0]) for i in range(len(whole))]
    chunk = max(cache.glob("*.i16"), key=lambda path: path.stat().st_size)
    index = chunk.with_suffix(".json")
    if damage == "truncate":
        chunk.write_bytes(chunk.read_bytes()[:-100])
    elif damage == "flip":
        content = bytearray(chunk.read_bytes())
        content[len(content) // 2] ^= 1
        chunk.write_bytes(content)
    elif damage == "no index":
        index.unlink()
    elif damage == "half an index":
        index.write_text(index.read_text()[:50])
    else:
        index.write_text(json.dumps(["?"]))
    mended = build(data, cache)
    assert mended.recordings == whole.recordings
    assert all(np.array_equal(mended[i][0], samples[i]) for i in range(len(mended)))


def test_leftovers_of_a_kill_do_not_count(data, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / ".0123.i16.77.tmp").write_bytes(b"half")
    assert len(build(data, cache)) == CHUNK + 4


def test_travels_to_worker_processes_without_its_maps(data, tmp_path):
    store = build(data, tmp_path / "cache")
    expected = np.array(store[3][0])
    clone = pickle.loads(pickle.dumps(store))
    assert len(pickle.dumps(store)) < 200 * len(store) + 20_000
    np.testing.assert_array_equal(clone[3][0], expected)


def test_without_leaves_recordings_out(data, tmp_path):
    store = build(data, tmp_path / "cache")
    dropped = store.recordings[2].path
    rest = store.without({dropped})
    assert len(rest) == len(store) - 1
    np.testing.assert_array_equal(rest[2][0], store[3][0])


def test_reads_every_recording(recorded, tmp_path):
    """What is stored is what `prepare` gives, for both dialects and every quirk; failures are the three known ones."""
    paths = recordings_in(recorded)
    store = build_store(paths, Transform(100), tmp_path, n_jobs=1, progress=False)
    assert len(store) + len(store.failures) == len(paths)
    known = {"I0001.hea", "I0002.hea", "I0003.hea"} if (recorded / "quirks").is_dir() else set()
    assert {failure.path.rsplit("/", 1)[1] for failure in store.failures} == known
    for i in range(0, len(store), 9):
        recording = read_recording(store.recordings[i].path)
        expected = prepare(recording.signal, recording.fs, recording.leads, Transform(100))
        np.testing.assert_array_equal(store[i][0], expected.samples)
    assert all(len(store[i][0]) == len(LEADS) for i in range(len(store)))


def test_a_cluster_builds_the_same_bytes(data, tmp_path):
    distributed = pytest.importorskip("distributed")
    one = build(data, tmp_path / "one")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local:
        with cluster(local.scheduler_address):
            two = build(data, tmp_path / "two", n_jobs=-1)
        assert local.scheduler.transition_counter > len(one.files)  # it was asked
    assert [file.name for file in two.files] == [file.name for file in one.files]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(one.files, two.files, strict=True))
