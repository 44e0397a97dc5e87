"""Resampling against scipy's, at the ratios that recordings come with."""

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from scipy.signal import firwin, resample_poly

from leadset.preprocess.resampling import resample

RATES = [(500, 100), (500, 250), (1000, 500), (1000, 100), (257, 500), (360, 500), (128, 500), (300, 100), (100, 500)]


def wandering(n_samples, n_leads=12):
    """Random walks, offset by 3 mV."""
    steps = np.random.default_rng(0).normal(size=(n_leads, n_samples))
    return (3 + np.cumsum(steps, axis=1) / 20).astype(np.float32)


def noise(n_samples, n_leads=12):
    """White noise with an SD of 1 mV."""
    return np.random.default_rng(1).normal(size=(n_leads, n_samples)).astype(np.float32)


def low_pass(up, down):
    """The filter that `resample_poly` uses for these factors."""
    return firwin(20 * max(up, down) + 1, 1 / max(up, down), window=("kaiser", 5.0))


@pytest.mark.parametrize("signal", [wandering(3007), noise(3007)], ids=["random walk", "noise"])
@pytest.mark.parametrize(("rate_from", "rate_to"), RATES)
def test_equals_resample_poly_with_weights_that_sum_to_one(rate_from, rate_to, signal):
    ours = resample(signal, rate_from, rate_to)
    ratio = Fraction(rate_to, rate_from)
    weights = low_pass(ratio.numerator, ratio.denominator)
    for phase in range(ratio.numerator):
        weights[phase :: ratio.numerator] /= weights[phase :: ratio.numerator].sum() * ratio.numerator
    double = signal.astype(np.float64)
    theirs = resample_poly(double, ratio.numerator, ratio.denominator, axis=1, padtype="line", window=weights)
    assert ours.dtype == np.float32
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-6 * np.abs(signal).max()


def test_why_resample_poly_itself_differs():
    """Its weights sum to other than 1 by the phase of the output: a constant comes out as a ripple of that size."""
    sums = [low_pass(500, 257)[phase::500].sum() * 500 for phase in range(500)]
    assert (min(sums), max(sums)) == pytest.approx((0.99964, 1.00067), abs=1e-5)
    constant = np.ones((1, 2000))
    theirs = resample_poly(constant, 500, 257, axis=1, padtype="constant", cval=1.0)[:, 100:-100]
    assert (theirs.min(), theirs.max()) == pytest.approx((min(sums), max(sums)), abs=1e-6)
    assert np.abs(resample(constant.astype(np.float32), 257, 500) - 1).max() < 1e-6
    difference = resample(noise(3000), 257, 500) - resample_poly(noise(3000), 500, 257, axis=1, padtype="line")
    assert 2e-3 < np.abs(difference).max() < 3e-3


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
