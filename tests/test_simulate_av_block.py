"""Simulated atrioventricular block: its labels and marks, and that it is drawn on request only."""

from __future__ import annotations

import numpy as np
import pytest

from leadset.simulate import simulate
from leadset.simulate.av_block import AV_BLOCKS
from leadset.waves.marks import PON, QRSON


@pytest.mark.filterwarnings("ignore:All-NaN")
@pytest.mark.parametrize(("label", "code"), AV_BLOCKS.items())
def test_av_blocks_have_p_waves_that_no_complex_follows(label, code):
    made = simulate(8, seed=2, labels=label, noise=0, fs=500)
    assert made.codes == [(code,)] * 8
    for signal, marks, p_only in zip(made.signals, made.marks, made.p_only, strict=True):
        lone = np.nanmedian(p_only, axis=0)[:, 1]
        followed = np.nanmedian(marks[..., PON + 1], axis=0)
        onsets = np.nanmin(marks[..., QRSON], axis=0)
        assert len(lone) >= 2
        atria = np.sort(np.concatenate([lone, followed[np.isfinite(followed)]]))
        np.testing.assert_allclose(np.diff(atria), np.median(np.diff(atria)), rtol=0.08)  # one sinus node
        if label == "CHB":
            assert np.isnan(followed).all()
            assert 29 < 60 * 500 / np.median(np.diff(onsets)) < 51
            assert np.diff(onsets).std() < 0.05 * np.diff(onsets).mean()
            continue
        step = np.median(np.diff(atria))
        assert not any(((onsets > at) & (onsets < at + 0.9 * step)).any() for at in lone)
        pr = onsets - np.nanmin(marks[..., PON], axis=0)
        pause = np.diff(onsets) > 1.4 * step
        grows = np.diff(pr)[~pause & np.isfinite(np.diff(pr))]
        assert (grows > 10).all() if label == "MoI" else (np.abs(grows) < 10).all()
        alone = [at for at in lone if np.abs(onsets - at).min() > 200]  # far from any QRS: the wave itself
        second = signal[1]
        assert all(np.ptp(second[int(at) - 30 : int(at) + 30]) > 0.02 for at in alone if 30 < at < len(second) - 30)


def test_av_blocks_leave_the_other_recordings_alone():
    plain, mixed = simulate(24, seed=5, labels="NSR"), simulate(24, seed=5, labels={"NSR": 1, "CHB": 1})
    same = [codes == ("426783006",) for codes in mixed.codes]
    assert 6 <= sum(same) <= 18
    np.testing.assert_array_equal(mixed.signals[same], plain.signals[same])
    assert not any(set(AV_BLOCKS.values()) & set(codes) for codes in simulate(64, seed=1).codes)
