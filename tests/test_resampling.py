"""Resampling against scipy's, at the ratios that recordings come with."""

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from scipy.signal import resample_poly

from leadset.preprocess.resampling import resample

RATES = [(500, 100), (500, 250), (1000, 500), (1000, 100), (257, 500), (360, 500), (128, 500), (300, 100), (100, 500)]


def wandering(n_samples, n_leads=12):
    """Random walks, offset by 3 mV."""
    steps = np.random.default_rng(0).normal(size=(n_leads, n_samples))
    return (3 + np.cumsum(steps, axis=1) / 20).astype(np.float32)


@pytest.mark.parametrize(("rate_from", "rate_to"), RATES)
def test_equals_resample_poly(rate_from, rate_to):
    signal = wandering(11 * rate_from + 7)
    ours = resample(signal, rate_from, rate_to)
    ratio = Fraction(rate_to, rate_from)
    theirs = resample_poly(signal, ratio.numerator, ratio.denominator, axis=1, padtype="line")
    assert ours.dtype == np.float32
    assert ours.shape == theirs.shape
    # Theirs ripples by up to a thousandth where samples are put between others.
    assert np.abs(ours - theirs).max() < (1e-4 if ratio.numerator == 1 else 2e-3) * np.abs(signal).max()


@pytest.mark.parametrize(("rate_from", "rate_to"), [*RATES, (499.87, 500)])
@pytest.mark.parametrize("n_samples", [1, 2, 45, 5000])
def test_a_constant_stays_one(rate_from, rate_to, n_samples):
    constant = np.full((3, n_samples), 7.25, dtype=np.float32)
    assert np.abs(resample(constant, rate_from, rate_to) - 7.25).max() < 1e-5


@pytest.mark.parametrize(("rate_from", "rate_to"), [*RATES, (499.87, 500)])
@pytest.mark.parametrize("n_samples", [2, 45, 5000])
def test_a_line_stays_one_to_its_ends(rate_from, rate_to, n_samples):
    line = np.arange(n_samples, dtype=np.float32)[None] / n_samples
    resampled = resample(line, rate_from, rate_to)
    wanted = np.arange(resampled.shape[1]) * rate_from / rate_to / n_samples
    assert np.abs(resampled - wanted).max() < 2e-3


def test_bits_do_not_depend_on_the_number_of_threads():
    script = (
        "import numpy as np, hashlib; from tests.test_resampling import *;"
        "print([hashlib.sha256(resample(wandering(60 * a), a, b).tobytes()).hexdigest() for a, b in RATES])"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True,
            env={**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": "."},
        ).stdout
        for threads in ("1", "2", "4")
    }  # fmt: skip
    assert len(digests) == 1
