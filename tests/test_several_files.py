"""Recordings of several files and of several segments mean what `wfdb` says, sample for sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import wfdb
from signal_files import LOWEST, assert_agrees_with_wfdb, write_signals

from leadset.recordings import read_recording
from leadset.recordings.storage import INVALID


def draw_files(folder: Path, rng: np.random.Generator) -> Path:
    """A random recording in several files of different formats, byte offsets and skews; initial values, checksums and
    resolutions are wrong, and some gains have no baseline."""
    n_frames, lines = int(rng.integers(40, 200)), []
    for number in range(int(rng.integers(2, 4))):
        form = int(rng.choice([16, 24, 32, 61, 80, 160]))
        n_signals, offset = int(rng.integers(1, 4)), int(rng.integers(9))
        frames = rng.integers(LOWEST[form] + 1, -LOWEST[form] - 1, (n_frames, n_signals))
        frames[rng.random(frames.shape) < 0.05] = INVALID[form]
        write_signals(folder / f"f{number}.dat", form, frames, [1] * n_signals, offset)
        skew = int(rng.integers(0, 5)) * int(rng.integers(0, 2))
        for _ in range(n_signals):
            zero = int(rng.integers(-30, 30))
            baseline = f"({rng.integers(-50, 50)})" if rng.random() < 0.5 else ""
            rest = f"{rng.integers(8, 24)} {zero} {rng.integers(-900, 900)} {rng.integers(-9999, 9999)} 0"
            lines.append(f"f{number}.dat {form}:{skew}+{offset} {rng.choice([200, 1000.5, 0.37])}{baseline}/mV {rest} "
                         f"lead{len(lines)}")
    (folder / "r.hea").write_text("\n".join([f"r {len(lines)} 250 {n_frames}", *lines, ""]))
    return folder / "r.hea"


def test_recordings_of_several_files_do_not_differ_from_wfdb(tmp_path):
    rng = np.random.default_rng(14)
    assert sum(assert_agrees_with_wfdb(draw_files(tmp_path, rng)) for _ in range(60)) > 150


def draw_segments(folder: Path, rng: np.random.Generator) -> Path:
    """A random recording of segments with gaps between them, under a layout of all leads."""
    leads = ["II", "V5", "aVR", "V1"][: rng.integers(1, 5)]
    gains = {lead: f"{rng.choice([200, 1000])}({rng.integers(-20, 20)})/mV" for lead in leads}
    parts, total = ["lay 0"], 0
    for number in range(int(rng.integers(1, 5))):
        if rng.random() < 0.4:
            total += (gap := int(rng.integers(1, 90)))
            parts.append(f"~ {gap}")
        own = [str(lead) for lead in rng.permutation(leads)[: rng.integers(1, len(leads) + 1)]]
        n_frames, form = int(rng.integers(20, 90)), int(rng.choice([16, 212, 80]))
        frames = rng.integers(LOWEST[form] + 1, -LOWEST[form] - 1, (n_frames, len(own)))
        frames[rng.random(frames.shape) < 0.05] = INVALID[form]
        write_signals(folder / f"s{number}.dat", form, frames, [1] * len(own), 0)
        lines = [f"s{number}.dat {form} {gains[lead]} 12 0 0 0 0 {lead}" for lead in own]
        (folder / f"s{number}.hea").write_text("\n".join([f"s{number} {len(own)} 250 {n_frames}", *lines, ""]))
        parts.append(f"s{number} {n_frames}")
        total += n_frames
    layout = [f"~ 0 {gains[lead]} 12 0 0 0 0 {lead}" for lead in leads]
    (folder / "lay.hea").write_text("\n".join([f"lay {len(leads)} 250 0", *layout, ""]))
    (folder / "r.hea").write_text("\n".join([f"r/{len(parts)} {len(leads)} 250 {total}", *parts, ""]))
    return folder / "r.hea"


def test_segments_with_gaps_do_not_differ_from_wfdb(tmp_path):
    rng = np.random.default_rng(15)
    for _ in range(40):
        path = draw_segments(tmp_path, rng)
        recording, expected = read_recording(path), wfdb.rdrecord(str(path.with_suffix("")), m2s=True)
        columns = [expected.sig_name.index(lead) for lead in recording.leads]
        np.testing.assert_allclose(recording.signal, expected.p_signal.T[columns], rtol=4e-7, atol=1e-9)
        left_out = [i for i, lead in enumerate(expected.sig_name) if lead not in recording.leads]
        assert np.isnan(expected.p_signal[:, left_out]).all()
