"""The learned delineator: the network in numpy and in torch, what it learns from, and how it learns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import train_waves
from synthetic_leads import synthetic
from train_waves import PLACE_LINEAR, Layers, displacement, targets
from wave_examples import CELLS, Example

from leadset.waves import network
from leadset.waves.envelope import measure
from leadset.waves.learned import learned_marks
from leadset.waves.marks import T1, TEND, TON
from leadset.waves.wavelet import transform


@pytest.mark.parametrize(("leads", "samples"), [(3, 2400), (1, 2400), (1, 700), (1, 60), (1, 1)])
def test_network_in_numpy_equals_the_one_that_learns(leads: int, samples: int) -> None:
    torch.manual_seed(0)
    model = Layers()
    for norm in model.norm.values():
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 2)
    model.eval()
    signal = np.stack([synthetic(250)[0], np.zeros(2500), -0.5 * synthetic(250)[0]])[:leads, 100 : 100 + samples]
    grid = transform(signal, 250)
    usable = np.array([True, False, True])[:leads]
    envelope = measure(grid.scales, usable)
    weights = {name: array.astype(np.float32) for name, array in model.folded().items()}
    ours = network.logits(grid.of(usable).scales, envelope.of(usable), weights)
    shifts, room = (range(0, 32, 4), 32) if leads == 1 else ((0,), 0)  # a single lead is seen in eight alignments
    theirs, length = [], network.cell_count(samples + room)
    for shift in shifts:
        cells = torch.from_numpy(network.make_cells(grid.scales, envelope, length, shift=shift))
        with torch.no_grad():
            heat = model(cells[None], torch.from_numpy(usable)[None])[0].numpy()[usable]
        theirs.append(heat[:, shift // 4 :][:, : ours.shape[1]])
    assert ours.shape == (usable.sum(), 2 * network.cell_count(samples), 12)
    np.testing.assert_allclose(ours, np.mean(theirs, axis=0), atol=0.02)  # weights are kept in half precision


def test_targets_are_hot_at_the_marks_and_count_where_these_are_known() -> None:
    at = {"P onset": np.array([101.0, 301.0]), "P peak": np.array([109.5]), "P end": np.array([121.0, 329.0])}
    marks = [{name: at.get(name, np.zeros(0)) for name in network.HEAT}]
    known = [{name: np.array([[80.0, 200.0], [280.0, 400.0]]) for name in network.HEAT if name != "T onset"}]
    example = Example(np.zeros((1, 4 * CELLS)), marks, known)
    target, weight, place = targets(example)
    assert target.shape == weight.shape == (1, CELLS, 12)
    hot = lambda name: np.flatnonzero(target[0, :, network.HEAT.index(name)] > 0.9) * network.HEAT_CELL  # noqa: E731
    np.testing.assert_array_equal(hot("P onset"), [100, 300])
    np.testing.assert_array_equal(hot("P peak"), [108])
    assert not hot("R peak").size
    extent = np.flatnonzero(target[0, :, len(network.HEAT)]) * network.HEAT_CELL
    np.testing.assert_array_equal(extent, [*range(100, 120, 4), *range(300, 328, 4)])
    counted = np.flatnonzero(weight[0, :, 0]) * network.HEAT_CELL
    np.testing.assert_array_equal(counted, [*range(80, 204, 4), *range(280, 404, 4)])
    assert not weight[0, :, network.HEAT.index("T onset")].any()
    cell, channel = np.nonzero(~np.isnan(place[0]))
    at = (cell + place[0, cell, channel] + 0.5) * network.HEAT_CELL - 0.5
    assert [at[channel == i].tolist() for i in range(3)] == [[101, 301], [109.5], [121, 329]]
    assert channel.max() == 2
    example.placed = False
    assert np.isnan(targets(example)[2]).all()


def test_displacement_is_that_of_the_centroid() -> None:
    heat = np.full((1, 1, CELLS, 12), 1e-6, dtype=np.float32)
    heat[0, 0, 50:52, 3] = 0.5, 0.25  # the centroid lies a third of a cell behind the centre of cell 50
    place = np.full((1, 1, CELLS, 9), np.nan, dtype=np.float32)
    logit = torch.from_numpy(heat).logit()
    assert displacement(logit, torch.from_numpy(place)) == 0
    for cell, expected in ((50, 1 / 3), (49, 4 / 3), (53, 8 / 3)):
        place[:] = np.nan
        place[0, 0, cell, 3] = 0
        loss = 0.5 * expected**2 / PLACE_LINEAR if expected < PLACE_LINEAR else expected - 0.5 * PLACE_LINEAR
        assert displacement(logit, torch.from_numpy(place)).item() == pytest.approx(loss, abs=1e-3)


def test_interrupted_learning_goes_on_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SIMULATED": 4, "RENEWED": 1, "RENEW_EVERY": 2, "ROWS": 12, "SAVE_EVERY": 3}.items():
        monkeypatch.setattr(train_waves, name, value)
    learn = lambda: train_waves.train({}, {}, 5, 0, None, tmp_path / "network.state").folded()  # noqa: E731
    whole = learn()
    monkeypatch.setattr(train_waves, "SAVE_EVERY", 100)
    resumed = learn()  # from the state after three of the five steps
    for name, array in whole.items():
        np.testing.assert_array_equal(array, resumed[name])
    (tmp_path / "network.state").unlink()
    for name, array in learn().items():
        np.testing.assert_array_equal(array, whole[name])


_HASH = """
import hashlib, numpy as np
from leadset import delineate
rng = np.random.default_rng(0)
bumps = np.exp(-0.5 * ((np.arange(30_000) % 200 - 100) / 3) ** 2)
signal = rng.uniform(-1, 1, (12, 1)) * bumps + 0.02 * rng.standard_normal((12, 30_000))
found = delineate(signal, 250, "learned")
assert found.marks.shape[1] > 100
print(hashlib.md5(found.marks.tobytes()).hexdigest())
"""


def test_learned_marks_do_not_depend_on_the_number_of_threads() -> None:
    digests = set()
    for threads in "12":
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        run = subprocess.run([sys.executable, "-c", _HASH], env={**os.environ, **limits}, cwd=Path(__file__).parents[1],
                             capture_output=True, text=True, check=True)
        digests.add(run.stdout)
    assert len(digests) == 1


def test_a_peak_before_the_onset_of_its_wave_is_sought_again(monkeypatch: pytest.MonkeyPatch) -> None:
    at = {"R peak": 1000, "QRS onset": 960, "QRS end": 1040, "T onset": 1130, "T peak": 1280, "T end": 1372}  # ms
    heat = np.full((9, 1, 640), 1e-6, dtype=np.float32)
    for name, place in at.items():
        heat[network.HEAT.index(name), 0] += 0.9 * np.exp(-0.5 * ((np.arange(640) * 16 + 6 - place) / 14) ** 2)
    heat[network.HEAT.index("T peak"), 0, 1104 // 16] = 0.95  # higher than the peak of the wave, and no part of it
    monkeypatch.setattr("leadset.waves.learned._maps", lambda *_: heat)
    grid = transform(synthetic(250, beats=1, first=1.0)[0][None], 250)
    usable = np.ones(1, dtype=bool)
    marks = learned_marks(grid, measure(grid.scales, usable), usable)
    np.testing.assert_allclose(4 * marks[0, 0, [TON, T1, TEND]], [1130, 1280, 1372], atol=16)
