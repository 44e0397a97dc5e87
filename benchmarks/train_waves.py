r"""Learns the weights of `leadset.waves.network`, from simulated recordings and then from annotated ones.

    python benchmarks/train_waves.py OUTPUT.safetensors [--steps 5000] [--seed 0]
    python benchmarks/train_waves.py OUTPUT.safetensors --data DATA --start EARLIER.safetensors \
        [--without FOLD --folds 2] [--steps 5000] [--seed 0]

Without DATA, all there is to learn from are recordings of `leadset.simulate` and beats made of Gaussian bumps, whose
marks are exact. DATA holds the folders ``ludb`` (marks of every wave), ``qtdb`` (the same for some thirty beats of each
recording), ``mitdb`` (R peaks only), ``af_2017`` and ``challenge`` (recordings of atrial fibrillation and flutter:
nothing in them is a P wave), and ``nstdb`` (recorded noise, of which the first half is used; the second is left for
``delineation.py``). ``--without`` leaves out one fold of the recordings, for an honest score (see ``fold_of``); the
weights shipped with the package are learned from all of them. A run that was interrupted, started again, goes on from
what it left in ``OUTPUT.state`` to the same weights.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from annotated import read_ludb, read_mitdb, read_noise, read_qtdb
from safetensors import safe_open
from safetensors.numpy import save
from scipy.signal import resample_poly
from torch import nn
from wave_examples import (
    CELLS,
    Example,
    draw_beats,
    excerpt,
    fold_of,
    on_grid,
    read_fibrillation,
    simulated,
    sparsely_marked,
    spoil,
)

from leadset.utils.files import write_atomically
from leadset.waves import network
from leadset.waves.envelope import measure
from leadset.waves.learned import ABOUT
from leadset.waves.wavelet import GRID_RATE, transform

#: Rows (leads of all recordings) of a batch.
ROWS = 48
#: Numbers of leads of a batch and how often each is drawn.
LEADS, LEAD_ODDS = (1, 2, 3, 6, 12), (0.22, 0.33, 0.1, 0.12, 0.23)
#: Standard deviation of a mark's heat in grid samples (14 ms) and weight of the extents in the loss.
HEAT_SD, EXTENT_WEIGHT = 3.5, 0.3
#: Cells on either side of a mark that its heat reaches.
HEAT_REACH = 4
#: Weight in the loss of the distance of the heat's centroid from the mark, the cells on either side of the mark in
#: which the heat's maximum is sought, and the distance in cells from which it counts linearly.
PLACE_WEIGHT, PLACE_REACH, PLACE_LINEAR = 0.05, 6, 2.0
#: What a batch of one, two, or more leads is made of, as far as it is there.
ODDS: dict[int, dict[str, float]] = {
    1: {"drawn": 0.03, "simulated": 0.19, "mitdb": 0.18, "af single": 0.1, "qtdb": 0.16, "ludb": 0.34},
    2: {"drawn": 0.03, "simulated": 0.19, "mitdb": 0.2, "af several": 0.08, "qtdb": 0.22, "ludb": 0.28},
    3: {"drawn": 0.03, "simulated": 0.21, "af several": 0.08, "ludb": 0.68},
}
#: Simulated recordings that are there at a time, how many are replaced by new ones and after how many batches.
SIMULATED, RENEWED, RENEW_EVERY = 512, 64, 50
#: Standard deviation of the logarithm of the factor by which each scale is strengthened: no two machines filter alike.
TILT = 0.15
PEAK_LEARNING_RATE, LATER_LEARNING_RATE, WEIGHT_DECAY = 4e-3, 2e-3, 1e-4
#: Share of the steps in which the learning rate rises; then it falls to zero along a cosine.
WARM_UP = 0.15
#: Steps after which a run's state is written to disk.
SAVE_EVERY = 250


def targets(example: Example) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heat and extents (leads, CELLS, 12), the weight of each in the loss, and the places of marks (leads, CELLS, 9).

    A place is the distance in cells of a mark from the centre of its cell; NaN where there is no mark.
    """
    heats, waves = len(network.HEAT), len(network.EXTENT)
    rows = list(zip(example.marks, example.known, strict=True))
    drawn = [marks.get(name, np.zeros(0)) for marks, _ in rows for name in network.HEAT]
    heat = _draw_heat(drawn)
    limits = [[marks.get(f"{wave} {limit}", np.zeros(0)) for marks, _ in rows for wave in network.EXTENT]
              for limit in ("onset", "end")]
    paired = [len(on) == len(end) for on, end in zip(*limits, strict=True)]
    extent = _count_before(limits[0]) > _count_before(limits[1])
    masks = {id(stretches): _within(stretches) for _, known in rows for stretches in known.values()}
    masks[id(None)] = np.zeros(CELLS, dtype=np.float32)
    sure = np.stack([masks[id(known.get(name))] for _, known in rows for name in network.HEAT])
    sure = sure.reshape(-1, heats, CELLS)
    ends = [network.HEAT.index(f"{wave} end") for wave in network.EXTENT]
    both = sure[:, ends] * EXTENT_WEIGHT * np.reshape(paired, (-1, waves, 1))
    target = np.concatenate([heat.reshape(-1, heats, CELLS), extent.reshape(-1, waves, CELLS)], axis=1)
    weight = np.concatenate([sure, both], axis=1)
    place = np.full(sure.shape, np.nan)
    if example.placed:
        place = np.where(sure > 0, _places(drawn).reshape(sure.shape), np.nan)
    return tuple(array.swapaxes(1, 2).astype(np.float32) for array in (target, weight, place))


def _draw_heat(marks: list[np.ndarray]) -> np.ndarray:
    """(rows, CELLS) a Gaussian at every mark of every row, the higher of two where they overlap."""
    heat = np.zeros(len(marks) * CELLS)
    row, at = np.repeat(np.arange(len(marks)), list(map(len, marks))), np.concatenate(marks)
    near = np.round(at / network.HEAT_CELL).astype(int)[:, None] + np.arange(-HEAT_REACH, HEAT_REACH + 1)
    height = np.exp(-0.5 * (((near + 0.5) * network.HEAT_CELL - 0.5 - at[:, None]) / HEAT_SD) ** 2)
    inside = (near >= 0) & (near < CELLS)
    np.maximum.at(heat, (row[:, None] * CELLS + near)[inside], height[inside])
    return heat.reshape(-1, CELLS)


def _places(marks: list[np.ndarray]) -> np.ndarray:
    """(rows, CELLS) distance in cells of each row's marks from the centre of the cell they lie in, else NaN."""
    place = np.full((len(marks), CELLS), np.nan)
    row, at = np.repeat(np.arange(len(marks)), list(map(len, marks))), np.concatenate(marks)
    at = (at + 0.5) / network.HEAT_CELL - 0.5
    cell = np.round(at).astype(int)
    inside = (cell >= PLACE_REACH) & (cell < CELLS - PLACE_REACH)
    place[row[inside], cell[inside]] = (at - cell)[inside]
    return place


def _count_before(marks: list[np.ndarray]) -> np.ndarray:
    """(rows, CELLS) number of each row's marks before the centre of each cell."""
    row, at = np.repeat(np.arange(len(marks)), list(map(len, marks))), np.concatenate(marks)
    cell = np.clip(np.ceil((at + 0.5) / network.HEAT_CELL - 0.5), 0, CELLS).astype(int)
    counts = np.bincount(row * (CELLS + 1) + cell, minlength=len(marks) * (CELLS + 1))
    return counts.reshape(-1, CELLS + 1).cumsum(axis=1)[:, :CELLS]


def _within(stretches: np.ndarray) -> np.ndarray:
    """(CELLS,) 1 in cells whose centre lies in one of the stretches (i, 2), give or take half a cell."""
    centre = (np.arange(CELLS) + 0.5) * network.HEAT_CELL - 0.5
    mask = np.zeros(CELLS, dtype=np.float32)
    for start, stop in np.searchsorted(centre, stretches + np.array([-2, 2])):
        mask[start:stop] = 1
    return mask


def batch(sources: dict[str, list[Example]], noises: dict[str, np.ndarray],
          rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Cells (b, leads, t, f), `targets`, and (b, leads) usable leads."""
    leads = int(rng.choice(LEADS, p=LEAD_ODDS))
    odds = {kind: share for kind, share in ODDS[min(leads, 3)].items() if kind == "drawn" or kind in sources}
    total = sum(odds.values())
    parts = []
    for _ in range(ROWS // leads):
        kind = rng.choice(list(odds), p=[share / total for share in odds.values()])
        if kind == "drawn":
            example = draw_beats(rng, leads)
        else:
            example = excerpt(sources[kind][rng.integers(len(sources[kind]))], rng, leads)
        spoil(example, noises, rng)
        scales = transform(example.signal, GRID_RATE).scales
        scales *= np.exp(TILT * rng.standard_normal((len(scales), 1, 1)))
        if rng.random() < 0.1:  # a recording of low rate has nothing on the finest scales
            scales[0] *= 0.1
        usable = np.ptp(example.signal, axis=1) > 0.02
        cells = network.make_cells(scales, measure(scales, usable), network.cell_count(scales.shape[2]))
        parts.append((cells, *targets(example), usable))
    return tuple(torch.from_numpy(np.stack(column)) for column in zip(*parts, strict=True))


class Layers(nn.Module):
    """The network's layers in torch, with batch normalisation that is folded into the weights at the end.

    With ``start``, weights of an earlier run, learning goes on from there, without the normalisation folded into them.
    """

    def __init__(self, start: dict[str, np.ndarray] | None = None) -> None:
        super().__init__()
        self.convolution = nn.ModuleDict()
        self.norm = nn.ModuleDict()
        for name, (inputs, outputs, taps) in network.LAYERS.items():
            self.convolution[name] = nn.Conv1d(inputs, outputs, taps, padding=taps // 2)
            if name != "head" and start is None:
                self.norm[name] = nn.BatchNorm2d(outputs)
        nn.init.constant_(self.convolution["head"].bias, -3.0)
        for name, (inputs, outputs, taps) in network.LAYERS.items() if start else ():
            weight = start[f"{name}.weight"].reshape(taps, inputs, outputs).transpose(2, 1, 0)
            self.convolution[name].weight.data = torch.from_numpy(weight.copy())
            self.convolution[name].bias.data = torch.from_numpy(start[f"{name}.bias"].copy())

    def layer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        b, leads, t, c = x.shape
        image = x.reshape(b * leads, 1, t, c).permute(0, 3, 1, 2)  # channels last, for which convolutions are fastest
        convolution = self.convolution[name]
        weight, padding = convolution.weight[:, :, None], (0, convolution.padding[0])
        y = nn.functional.conv2d(image, weight, convolution.bias, padding=padding)
        y = self.norm[name](y) if name in self.norm else y
        return y.permute(0, 2, 3, 1).reshape(b, leads, t, -1)

    def forward(self, cells: torch.Tensor, usable: torch.Tensor) -> torch.Tensor:
        share = (usable / usable.sum(dim=1, keepdim=True).clamp(min=1)).to(cells.dtype)
        across = lambda x: torch.einsum("bl,bltc->btc", share, x)[:, None]  # noqa: E731
        return network.forward(cells, self.layer, torch.relu, across)

    def folded(self) -> dict[str, np.ndarray]:
        """Weights as `network.load_weights` wants them, normalisation included, in half precision."""
        weights = {}
        for name, convolution in self.convolution.items():
            w, bias = convolution.weight.detach(), convolution.bias.detach()
            if name in self.norm:
                norm = self.norm[name]
                gain = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
                w, bias = w * gain[:, None, None], (bias - norm.running_mean) * gain + norm.bias.detach()
            flat = w.permute(2, 1, 0).reshape(-1, w.shape[0]).numpy()
            weights[f"{name}.weight"] = np.ascontiguousarray(flat, dtype=np.float16)
            weights[f"{name}.bias"] = bias.numpy().astype(np.float16)
        return weights


def displacement(logit: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Mean loss of the distances between marks and the centroids of their heat, taken as the delineator takes them.

    Args:
        logit: (b, leads, CELLS, 12).
        place: (b, leads, CELLS, 9), see `targets`.
    """
    where = torch.nonzero(~torch.isnan(place), as_tuple=True)
    if not len(where[0]):
        return logit.new_zeros(())
    row, lead, cell, channel = (index[:, None] for index in where)
    offset = torch.arange(-PLACE_REACH, PLACE_REACH + 1)
    heat = torch.sigmoid(logit[row, lead, cell + offset, channel])
    highest = offset[heat.detach().argmax(dim=1)][:, None]
    heat = heat * ((offset - highest).abs() <= torch.tensor(ABOUT)[channel])
    centroid = (heat * offset).sum(dim=1) / heat.sum(dim=1).clamp(min=0.1)
    return nn.functional.smooth_l1_loss(centroid, place[where], beta=PLACE_LINEAR)


def learning_rate(peak: float, share: float) -> float:
    """Learning rate after a share of the steps."""
    if share < WARM_UP:
        return peak * share / WARM_UP
    return peak * 0.5 * (1 + np.cos(np.pi * (share - WARM_UP) / (1 - WARM_UP)))


def save_state(path: Path, model: Layers, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Writes what `load_state` needs to go on after a step."""
    arrays = {f"model.{name}": array for name, array in model.state_dict().items()}
    for i, moments in optimiser.state_dict()["state"].items():
        arrays.update({f"optimiser.{i}.{name}": array for name, array in moments.items()})
    write(path, {name: array.numpy() for name, array in arrays.items()}, {"step": str(step)})


def load_state(path: Path, model: Layers, optimiser: torch.optim.Optimizer) -> int:
    """Puts model and optimiser in the state of an interrupted run and returns its step."""
    with safe_open(path, "pt") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        step = int(file.metadata()["step"])
    model.load_state_dict({name.removeprefix("model."): array for name, array in arrays.items()
                           if name.startswith("model.")})
    state = optimiser.state_dict()
    state["state"] = {i: {name: arrays[f"optimiser.{i}.{name}"] for name in ("step", "exp_avg", "exp_avg_sq")}
                      for i in range(len(state["param_groups"][0]["params"]))}
    optimiser.load_state_dict(state)
    return step


def write(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    """Writes arrays to a file that is whole or not there."""
    with write_atomically(path, "wb") as file:
        file.write(save(arrays, metadata))


def train(sources: dict[str, list[Example]], noises: dict[str, np.ndarray], steps: int, seed: int,
          start: Path | None, state: Path) -> Layers:
    """Learns for a number of batches, from the beginning or earlier weights; goes on from ``state`` if there is one.

    Where simulated waves begin and end differs less from lead to lead than where experts see them begin and end: with
    annotated recordings to learn from, nothing but peaks is learned from simulated ones.
    """
    torch.manual_seed(seed)
    model = Layers(network.load_weights(start) if start else None)
    rate = PEAK_LEARNING_RATE if start is None else LATER_LEARNING_RATE
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=WEIGHT_DECAY)
    done = load_state(state, model, optimiser) if state.exists() else 0
    unknown = [name for name in network.HEAT if not name.endswith("peak")] if sources else ()
    began, total, counted = time.monotonic(), 0.0, 0
    for step in range(done + 1, steps + 1):
        rng = np.random.default_rng((seed, step))
        if step % RENEW_EVERY == 1 or "simulated" not in sources:
            drawn = SIMULATED + (step - 1) // RENEW_EVERY * RENEWED
            fresh = RENEWED if "simulated" in sources else SIMULATED
            sources["simulated"] = [*sources.get("simulated", [])[fresh:],
                                    *simulated(fresh, drawn - fresh, seed, unknown)]
        cells, target, weight, place, usable = batch(sources, noises, rng)
        logit = model(cells, usable)[:, :, : target.shape[2]]
        loss = nn.functional.binary_cross_entropy_with_logits(logit, target, weight, reduction="sum")
        loss = loss / weight.sum().clamp(min=1) + PLACE_WEIGHT * displacement(logit, place)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(rate, step / steps)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        total, counted = total + loss.item(), counted + 1
        if step % SAVE_EVERY == 0:
            print(f"{step} of {steps}: loss {total / counted:.5f}, {time.monotonic() - began:.0f} s", flush=True)
            total, counted = 0.0, 0
            save_state(state, model, optimiser, step)
    return model.eval()


def main() -> None:
    """Command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--data", type=Path, help="annotated recordings (default: none, learn from simulated ones)")
    parser.add_argument("--without", type=int, help="fold to leave out")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="weights of an earlier run to go on from")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sources, noises = {}, {}
    if args.data:
        keep = lambda name: args.without is None or fold_of(name, args.folds) != args.without  # noqa: E731
        readers = {"ludb": (read_ludb, on_grid), "qtdb": (read_qtdb, sparsely_marked), "mitdb": (read_mitdb, on_grid)}
        sources = {name: [prepare(r) for r in read(args.data / name) if keep(r.name)]
                   for name, (read, prepare) in readers.items()}
        sources["af single"], sources["af several"] = read_fibrillation(args.data)
        noises = {name: resample_poly(noise[: len(noise) // 2], 25, 36, axis=0)
                  for name, noise in read_noise(args.data / "nstdb").items()}
        print("learning from", {name: len(examples) for name, examples in sources.items()})
    state = args.output.with_suffix(".state")
    model = train(sources, noises, args.steps, args.seed, args.start, state)
    write(args.output, model.folded())
    state.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
