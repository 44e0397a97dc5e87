"""The simulator: what it promises about labels, marks, files and seeds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from leadset.classes import label_space
from leadset.cli import main
from leadset.leads import LEADS, LIMB_WEIGHTS
from leadset.simulate import (
    ANOMALIES,
    SimulatedStream,
    flatten_leads,
    simulate,
    simulate_anomalies,
    swap_electrodes,
)
from leadset.simulate.conditions import CONDITIONS
from leadset.simulate.mixture import RHYTHMS
from leadset.waves import MARKS

CODES = {name: set(condition.codes) for name, condition in CONDITIONS.items()}
P_ON, QRS_ON, QRS_END, T_END = (MARKS.index(name) for name in ("Pon", "QRSon", "QRSend", "Tend"))


def test_every_class_of_both_label_spaces_can_be_simulated():
    for space in ("challenge2021", "cpsc2018"):
        for diagnosis in label_space(space).classes:
            assert any(set(diagnosis.codes) & codes for codes in CODES.values()), diagnosis.abbreviation


def first_last(marks: np.ndarray, on: int, end: int) -> np.ndarray:
    """Duration in samples (beats,) from the earliest onset to the latest end over the leads."""
    seen = np.isfinite(marks[..., on]).any(axis=0) & np.isfinite(marks[..., end]).any(axis=0)
    return np.nanmax(marks[:, seen, end], axis=0) - np.nanmin(marks[:, seen, on], axis=0)


def intervals(marks: np.ndarray) -> np.ndarray:
    """RR intervals in samples."""
    return np.diff(np.nanmin(marks[..., QRS_ON], axis=0))


@pytest.fixture(scope="module")
def mixed():
    return simulate(48, seed=3)


def test_shapes_units_and_codes(mixed):
    assert mixed.signals.shape == (48, 12, 5000)
    assert mixed.signals.dtype == np.float32
    assert np.isfinite(mixed.signals).all()
    assert 0.3 < np.ptp(mixed.signals, axis=-1).mean() < 3  # millivolts
    known = set().union(*CODES.values())
    assert all(codes and set(codes) <= known for codes in mixed.codes)
    assert set(mixed.sexes) == {"Male", "Female"}
    assert ((mixed.ages >= 0) & (mixed.ages < 100)).all()


def test_limb_leads_follow_from_two(mixed):
    one, two = mixed.signals[:, 0], mixed.signals[:, 1]
    for lead, (a, b) in LIMB_WEIGHTS.items():
        np.testing.assert_allclose(mixed.signals[:, LEADS.index(lead)], a * one + b * two, atol=2e-6)


def test_a_recording_depends_only_on_seed_and_index(mixed):
    alone = simulate(3, seed=3, start=40)
    np.testing.assert_array_equal(alone.signals, mixed.signals[40:43])
    assert alone.codes == mixed.codes[40:43]
    np.testing.assert_array_equal(alone.marks[1], mixed.marks[41])
    assert not np.array_equal(simulate(1, seed=4).signals[0], mixed.signals[0])


def test_marks_are_in_order_and_on_the_waves():
    quiet = simulate(16, seed=1, labels="NSR", noise=0)
    for signal, marks in zip(quiet.signals, quiet.marks, strict=True):
        assert marks.shape[0] == 12
        assert marks.shape[2] == 13
        inner = marks[:, 1:-1]
        for pair in ("Pon P1", "P1 Pend", "QRSon R", "R QRSend", "Ton T1", "T1 Tend"):
            name, after = (MARKS.index(mark) for mark in pair.split())
            assert np.nanmin(inner[..., after] - inner[..., name]) >= 0, pair
        lead = LEADS.index("II")
        for r in inner[lead, :, MARKS.index("R")]:
            if np.isfinite(r):  # the R mark is the highest point nearby, up to what the recorder's filter does
                first = max(round(r) - 12, 0)
                assert abs(first + signal[lead, first : first + 25].argmax() - r) <= 2


@pytest.mark.parametrize(("label", "low", "high"), [("SB", 35, 60), ("NSR", 60, 100), ("STach", 100, 170)])
def test_rates(label, low, high):
    made = simulate(24, seed=5, labels={label: 1})
    for marks, codes in zip(made.marks, made.codes, strict=True):
        assert set(codes) & CODES[label]
        assert low - 1 < 60 * made.fs / intervals(marks).mean() < high + 1


def test_first_degree_block_and_normal_pr():
    for label, low, high in (("IAVB", 0.2, 0.4), ("NSR", 0.1, 0.2)):
        made = simulate(24, seed=6, labels=label)
        for marks in made.marks:
            pr = np.nanmedian(np.nanmin(marks[:, 1:-1, QRS_ON], axis=0) - np.nanmin(marks[:, 1:-1, P_ON], axis=0))
            assert low <= pr / made.fs <= high


def test_qrs_durations():
    for label, low, high in (("LBBB", 0.12, 0.2), ("RBBB", 0.12, 0.2), ("NSR", 0.06, 0.12)):
        made = simulate(24, seed=7, labels=label)
        for marks in made.marks:
            assert low <= np.median(first_last(marks, QRS_ON, QRS_END)) / made.fs <= high, label


def test_bundle_branch_blocks_look_like_themselves():
    v1, v6 = LEADS.index("V1"), LEADS.index("V6")
    left, right = (simulate(24, seed=8, labels=label) for label in ("LBBB", "RBBB"))

    def late_net(made, lead):
        """Mean of the second half of the QRS complex relative to its onset, for each recording."""
        values = []
        for signal, marks in zip(made.signals, made.marks, strict=True):
            onset, end = (int(np.nanmedian(marks[:, 2, i])) for i in (QRS_ON, QRS_END))
            values.append(signal[lead, (onset + end) // 2 : end].mean() - signal[lead, onset])
        return np.array(values)

    assert np.mean(late_net(left, v1) < 0) > 0.9
    assert np.mean(late_net(left, v6) > 0) > 0.9
    assert np.mean(late_net(right, v1) > 0) > 0.9
    assert np.mean(late_net(right, v6) < 0) > 0.8


def test_fibrillation_is_irregular_and_without_p_waves():
    fibrillation, sinus = (simulate(24, seed=9, labels=label) for label in ("AF", "NSR"))

    def irregularity(made):
        return np.array([intervals(marks).std() / intervals(marks).mean() for marks in made.marks])

    assert all(np.isnan(marks[..., :4]).all() for marks in fibrillation.marks)
    assert all(np.isfinite(marks[:, 1:-1, P_ON]).any() for marks in sinus.marks)
    assert irregularity(fibrillation).min() > 0.07
    assert np.median(irregularity(fibrillation)) > 4 * np.median(irregularity(sinus))


def test_premature_beats_come_early_and_pause_as_they_should():
    made = simulate(40, seed=10, labels="PVC")
    compensated = []
    for marks, codes in zip(made.marks, made.codes, strict=True):
        assert set(codes) & CODES["PVC"]
        rr = intervals(marks)
        assert rr.min() < 0.85 * rr.mean()
        early = 1 + int(rr[1:-1].argmin())
        if not set(codes) & CODES["AF"]:
            compensated.append((rr[early] + rr[early + 1]) / np.median(rr))
    assert np.median(compensated) == pytest.approx(2, abs=0.1)

    for marks in simulate(24, seed=11, labels="PAC").marks:
        rr = intervals(marks)
        assert rr.min() < 0.9 * rr.mean()


def qrs_extremes(made, lead: str) -> tuple[np.ndarray, np.ndarray]:
    """Highest and lowest value (n,) of the second beat's QRS complex relative to its onset, for noise-free signals."""
    out = []
    for signal, marks in zip(made.signals, made.marks, strict=True):
        onset, end = int(np.nanmin(marks[:, 1, QRS_ON])), int(np.nanmax(marks[:, 1, QRS_END]))
        beat = signal[LEADS.index(lead), onset : end + 1]
        out.append((beat.max() - beat[0], beat.min() - beat[0]))
    return np.array(out).T


def test_axes():
    for label, low, high in (("LAD", -95, -25), ("LAnFB", -95, -30), ("RAD", 85, 180), ("NSR", -40, 95)):
        made = simulate(24, seed=12, labels=label, noise=0)
        one, foot = (sum(qrs_extremes(made, lead)) for lead in ("I", "aVF"))
        axis = np.degrees(np.arctan2(foot * 2 / np.sqrt(3), one))
        assert np.mean((axis > low) & (axis < high)) > 0.9, (label, axis)


def test_voltages():
    limb = LEADS[:6]
    low, high, normal = (simulate(24, seed=13, labels=label, noise=0) for label in ("LQRSV", "LVHV", "NSR"))
    highest = np.max([np.subtract(*qrs_extremes(low, lead)) for lead in limb], axis=0)
    assert np.mean(highest < 0.5) > 0.9  # flutter waves may add to it
    assert np.median(qrs_extremes(high, "V5")[0]) > 1.3 * np.median(qrs_extremes(normal, "V5")[0])
    assert np.mean(qrs_extremes(simulate(24, seed=13, labels="PRWP", noise=0), "V3")[0] < 0.35) > 0.8


def test_long_qt():
    for label, low, high in (("LQT", 0.46, 0.65), ("NSR", 0.33, 0.47)):
        made = simulate(24, seed=14, labels=label)
        for marks in made.marks:
            qt = np.nanmedian(first_last(marks[:, 1:-1], QRS_ON, T_END)) / made.fs
            assert low < qt / np.cbrt(np.median(intervals(marks)) / made.fs) < high, label


def test_flutter_and_pacing():
    flutter = simulate(16, seed=15, labels="AFL", noise=0)
    assert all(np.isnan(marks[..., :4]).all() for marks in flutter.marks)

    def share_of_flutter_band(made):
        power = np.abs(np.fft.rfft(made.signals[:, LEADS.index("aVF")])) ** 2
        frequency = np.fft.rfftfreq(made.signals.shape[-1], 1 / made.fs)
        return np.median(power[:, (frequency > 3.8) & (frequency < 5.7)].sum(1) / power[:, frequency > 1].sum(1))

    assert share_of_flutter_band(flutter) > 1.5 * share_of_flutter_band(simulate(16, seed=15, labels="NSR", noise=0))
    paced = simulate(16, seed=15, labels="PR", noise=0)
    steep = np.abs(np.diff(paced.signals, axis=-1)).max(axis=(1, 2))
    assert np.median(steep) > 1.3 * np.median(np.abs(np.diff(flutter.signals, axis=-1)).max(axis=(1, 2)))


def test_st_shifts():
    def level(label: str, lead: str) -> float:
        made = simulate(24, seed=16, labels=label, noise=0)
        values = []
        for signal, marks in zip(made.signals, made.marks, strict=True):
            onset, end = int(np.nanmin(marks[:, 2, QRS_ON])), int(np.nanmax(marks[:, 2, QRS_END]))
            values.append(signal[LEADS.index(lead), end + 30] - signal[LEADS.index(lead), onset])
        return float(np.median(values))

    assert level("STD", "V5") < level("NSR", "V5") - 0.06
    assert max(level("STE", lead) - level("NSR", lead) for lead in ("V2", "V3", "III")) > 0.08


def test_diagnoses_that_exclude_each_other_do_not_meet():
    together = [{name for name in CODES if CODES[name] & set(codes)} for codes in simulate(400, seconds=2).codes]
    for names in together:
        assert len(names & set(RHYTHMS)) == 1 or names & set(RHYTHMS) == {"SA", "SB"}
        assert not {"LBBB", "RBBB"} <= names
        assert not {"AF", "IAVB"} <= names
        assert not {"LAD", "RAD"} <= names
    assert any(len(names) > 2 for names in together)


def test_label_mixtures():
    with pytest.raises(ValueError, match=r"'XYZ'.*NSR"):
        simulate(1, labels="NSR,XYZ")
    with pytest.raises(ValueError, match="at least 1"):
        simulate(0)
    with pytest.raises(ValueError, match="expected 2 to"):
        simulate(1, seconds=0.5)
    codes = simulate(60, labels={"af": 3, "NSR": 1}, seconds=2, marks=False).codes
    share = np.mean([bool(set(c) & CODES["AF"]) for c in codes])
    assert 0.55 < share < 0.95
    assert all(set(c) <= CODES["AF"] | CODES["NSR"] for c in codes)


def test_sampling_rates_show_the_same_heart():
    fast, slow = (simulate(2, seed=2, fs=fs, seconds=5) for fs in (1000, 250))
    assert fast.codes == slow.codes
    np.testing.assert_allclose(fast.marks[0] / 4, slow.marks[0], rtol=1e-5)


def test_noise_can_be_left_out_and_turned_up():
    made = [simulate(8, seed=17, noise=noise) for noise in (0, 1, 3)]
    quiet, default, loud = (m.signals for m in made)
    np.testing.assert_allclose((default - quiet).std(axis=-1), made[1].noise, rtol=0.02, atol=1e-4)
    assert not made[0].noise.any()
    assert np.abs(loud - quiet).std() > 2 * np.abs(default - quiet).std() > 0
    assert np.abs(simulate(8, seed=17, noise=1000).signals[:, 1]).max() <= 16  # recorders clip
    with pytest.raises(ValueError, match="noise"):
        simulate(1, noise=-1)


def test_stream_continues_the_data_set_and_shards_it():
    stream = SimulatedStream(batch=4, seed=3, seconds=2, fs=250)
    signals, codes = next(stream)
    again, _ = next(stream)
    whole = simulate(8, seed=3, seconds=2, fs=250)
    np.testing.assert_array_equal(np.concatenate([signals, again]), whole.signals)
    assert codes == whole.codes[:4]
    second, _ = next(SimulatedStream(batch=4, seed=3, seconds=2, fs=250, shard=1, shards=2))
    np.testing.assert_array_equal(second, whole.signals[4:])
    with pytest.raises(ValueError, match="shard"):
        SimulatedStream(shard=2, shards=2)


@pytest.mark.parametrize("kind", ANOMALIES)
def test_anomalies_are_where_their_masks_say(kind):
    made = simulate_anomalies(6, seed=18, seconds=6, kinds=[kind])
    np.testing.assert_array_equal(made.clean, simulate(6, seed=18, seconds=6, labels="NSR").signals)
    change = np.abs(made.signals - made.clean)
    assert made.masks.any(axis=(1, 2)).all()
    assert change[~made.masks].max() <= 0.0201
    assert (np.where(made.masks, change, 0).max(axis=(1, 2)) > 0.02).all()
    assert made.masks.any(axis=1).mean() < 0.75
    assert set(made.kinds) == {kind}


def test_swapped_electrodes():
    made = simulate(2, seed=19, seconds=3).signals
    arms = swap_electrodes(made, "RA", "LA")
    lead = {name: i for i, name in enumerate(LEADS)}
    np.testing.assert_allclose(arms[:, lead["I"]], -made[:, lead["I"]], atol=1e-5)
    np.testing.assert_allclose(arms[:, lead["II"]], made[:, lead["III"]], atol=1e-5)
    np.testing.assert_allclose(arms[:, lead["aVR"]], made[:, lead["aVL"]], atol=1e-5)
    np.testing.assert_allclose(arms[:, 6:], made[:, 6:], atol=1e-5)
    chest = swap_electrodes(made, "V1", "V2")
    np.testing.assert_allclose(chest[:, lead["V1"]], made[:, lead["V2"]], atol=1e-5)
    assert not flatten_leads(made, ["V3"])[:, lead["V3"]].any()
    with pytest.raises(ValueError, match="cannot swap"):
        swap_electrodes(made, "V1", "V9")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "data"
    assert main(["simulate", str(out), "-n", "40", "--seed", "1", "--seconds", "3"]) == 0
    return out


def test_files_are_read_by_wfdb(folder):
    import wfdb

    headers = sorted(folder.rglob("*.hea"))
    assert len(headers) == 40
    assert {path.parent.name for path in headers} == {"g1"}
    dialects, rates = set(), set()
    for path in headers:
        record = wfdb.rdrecord(str(path.with_suffix("")), physical=False)
        assert list(record.sig_name) == list(LEADS)
        assert [c % 65536 for c in record.checksum] == [int(c) % 65536 for c in record.calc_checksum()]
        assert list(record.d_signal[0]) == record.init_value
        assert record.sig_len == round(3 * record.fs)
        dialects.add("16x1+24" in path.read_text())
        rates.add(record.fs)
    assert dialects == {True, False}
    assert len(rates) >= 2


def test_written_signals_are_the_simulated_ones(folder):
    import wfdb

    made = simulate(40, seed=1, seconds=3, fs=500)
    for path in folder.rglob("*.hea"):
        record = wfdb.rdrecord(str(path.with_suffix("")))
        index = int(path.stem[1:]) - 1
        if record.fs == 500:
            np.testing.assert_allclose(record.p_signal.T, made.signals[index], atol=0.6 / min(record.adc_gain))
        codes = path.read_text().split("Dx: ")[1].splitlines()[0]
        assert tuple(codes.split(",")) == made.codes[index]


def test_the_same_seed_writes_the_same_bytes(folder, tmp_path, capsys):
    again = tmp_path / "again"
    assert main(["simulate", str(again), "-n", "7", "--seed", "1", "--seconds", "3"]) == 0
    for path in again.rglob("*.*"):
        assert path.read_bytes() == (folder / path.relative_to(again)).read_bytes()
    assert main(["simulate", str(again), "-n", "1"]) == 1
    assert "not empty" in capsys.readouterr().err
    assert main(["simulate", str(again), "-n", "8", "--seed", "1", "--seconds", "3", "--force"]) == 0
    assert len(list(again.rglob("*.mat"))) == 8


def test_faults_on_request(folder, tmp_path):
    out = tmp_path / "faulty"
    assert main(["simulate", str(out), "-n", "6", "--seed", "1", "--seconds", "3", "--faults", "1"]) == 0
    changed = [path.read_bytes() != (folder / path.relative_to(out)).read_bytes() for path in out.rglob("*.mat")]
    assert all(changed)


def test_wrong_command_lines(tmp_path, capsys):
    assert main(["simulate", str(tmp_path / "a"), "-n", "0"]) == 1
    assert "at least 1" in capsys.readouterr().err
    assert main(["simulate", str(tmp_path / "a"), "-n", "2", "--labels", "NSR,Foo"]) == 1
    assert "'Foo'" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_other_instructions_write_the_same_bytes(tmp_path, capsys):
    """As on an older processor: no vector instructions of today in NumPy, its linear algebra or the C library."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    here, there = tmp_path / "here", tmp_path / "there"
    assert main(["simulate", str(here), "-n", "48"]) == 0
    today = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
    older = {
        "NPY_DISABLE_CPU_FEATURES": " ".join(today),
        "OPENBLAS_CORETYPE": "Nehalem",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX,-AVX2,-FMA,-FMA4",
    }
    command = [sys.executable, "-m", "leadset", "simulate", str(there), "-n", "48"]
    root = Path(__file__).resolve().parent.parent
    environment = {**os.environ, **older, "PYTHONPATH": str(root)}
    assert subprocess.run(command, env=environment, capture_output=True, cwd=tmp_path).returncode == 0
    files = sorted(path.relative_to(here) for path in here.rglob("*") if path.is_file())
    assert len(files) == 96
    assert all((here / file).read_bytes() == (there / file).read_bytes() for file in files)
