"""Universal networks: one set of weights for every lead set, trained on endless simulated recordings alone.

    python -m leadset.training.shipped.universal NETWORK WORK [--scale SHARE] [--steps STEPS] [--learning-rate RATE]
        [--ship FOLDER]

Every recording is drawn fresh, prepared by the path that a real one takes, and half of them lose a random part of their
leads: missing leads are zero. The first convolution of such a network can be cut to any lead set
(`leadset.models.lead_cut`), and a network that cannot be cut is given zeros, so that one training serves them all. A
batch is a function of the seed and the step alone, and the state on disk is replaced atomically: a killed run goes on
where it stopped and ends with the same bits.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from leadset import __version__
from leadset.classes import CHALLENGE, label_space
from leadset.config import default_config
from leadset.leads import LEADS
from leadset.models import create_model
from leadset.models.shipped import write_shipped
from leadset.preprocess import InputSpec, Prepared, Transform, cut_window, prepare, random_start
from leadset.simulate import SimulatedStream
from leadset.training.checkpoint import load_state, read_progress, save_state
from leadset.training.shipped.rehearsal import add_scale, check_target, scaled
from leadset.training.steps.batches import GAIN_SD, NOISE_SHARE, Batch
from leadset.training.steps.lead_dropout import draw_rows
from leadset.training.steps.partial_labels import cross_entropy
from leadset.training.steps.source_labels import ADDED, NORMAL_ONLY_SHARE, draw_targets
from leadset.training.trainer import GRADIENT_NORM, SAVE_EVERY_S
from leadset.utils.memory import keep_freed_memory
from leadset.utils.weights import save_weights

#: Simulated at rates that recorders have, and how often each: low ones cost less, and after resampling to the
#: network's rate they are the same recordings (`tests/test_universal.py`).
RATES, RATE_SHARES = (500, 250, 200), (0.2, 0.2, 0.6)
SECONDS = 10.0
#: Share of the groups that are shorter than a window, and how long they are (s): padded and masked.
SHORT_SHARE, SHORT_SECONDS = 0.05, (5.0, 9.5)
#: The level of all noise is between that of the simulator over this and times this.
NOISE_FACTOR = 2.0
#: Share of recordings whose voltages are lost, as in public copies with unit SD in every lead.
UNIT_SD_SHARE = 0.1
#: Recordings simulated together: more leave the processor's cache.
GROUP = 32
# Trapezoidal schedule: steps in which the learning rate rises, and share of all steps in which it falls.
WARM_UP_STEPS, COOL_DOWN_SHARE = 300, 0.25
LOG_EVERY = 50


@dataclass(frozen=True)
class Recipe:
    """How a universal network is trained; what is not here is fixed in this module.

    Attributes:
        network: a registered architecture.
        options: of that architecture.
        steps: optimiser steps; may be changed before the cool-down begins without changing what came before.
        batch_size: recordings a step, a multiple of `GROUP`.
        learning_rate: at its highest.
        weight_decay: of weights other than biases and normalisation gains.
        plain_steps: those that learn what is simulated; the others learn what sources would call it (`draw_targets`).
        seed: of initial weights, dropout, recordings and augmentation.
        space: name of the label space.
    """

    network: str
    options: dict[str, Any] = field(default_factory=dict)
    steps: int = 5000
    batch_size: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    plain_steps: int = 0
    seed: int = 2021
    space: str = CHALLENGE

    def __post_init__(self) -> None:
        if self.batch_size < GROUP or self.batch_size % GROUP:
            raise ValueError(f"batch_size={self.batch_size}: expected a multiple of {GROUP}")
        if self.steps < 1:
            raise ValueError(f"steps={self.steps}: expected at least 1")

    def scaled(self, scale: float) -> Recipe:
        """The same in a share of the steps."""
        return replace(self, steps=scaled(self.steps, scale), plain_steps=round(scale * self.plain_steps))

    def untrained(self) -> nn.Module:
        """The network of twelve leads with its initial weights."""
        torch.manual_seed(self.seed)
        return create_model(self.network, LEADS, len(label_space(self.space)), **self.options)


def _recipe(network: str, **choices: Any) -> Recipe:
    """One for the compact size of a network, whose options are in ``default.toml`` alone."""
    return Recipe(network, dict(default_config().options(network, "compact")), **choices)


#: What ships, by network.
RECIPES: dict[str, Recipe] = {
    recipe.network: recipe
    for recipe in (
        _recipe("resnet34", plain_steps=3000),
        _recipe("mvms_net", steps=3500, learning_rate=1e-2, plain_steps=2000),
        _recipe("crnn_pqrst", steps=1400, learning_rate=2e-3),
        _recipe("cnn_heartmaasters", steps=2500, learning_rate=2e-3),
        _recipe("resunet_lc", steps=2500, batch_size=64),
        _recipe("star", steps=2150, batch_size=32, learning_rate=2e-3, plain_steps=1500),
        _recipe("s4d", steps=6000, batch_size=64, learning_rate=1.5e-2, plain_steps=4000),
    )
}


def simulated_group(
    index: int, seed: int, transform: Transform, rng: np.random.Generator
) -> Iterator[tuple[Prepared, Sequence[str]]]:
    """Group ``index`` of the endless recordings of a seed, `GROUP` of them, prepared, each with its codes."""
    rate = int(rng.choice(RATES, p=RATE_SHARES))
    seconds = float(rng.uniform(*SHORT_SECONDS)) if rng.random() < SHORT_SHARE else SECONDS
    noise = NOISE_FACTOR ** rng.uniform(-1, 1)
    stream = SimulatedStream(GROUP, seed, seconds, rate, noise=noise)
    stream.position = index
    for signal, codes in zip(*next(stream), strict=True):
        if rng.random() < UNIT_SD_SHARE:
            signal = signal / signal.std(axis=1, keepdims=True)
        yield prepare(signal, rate, LEADS, transform), codes


def draw_window(
    samples: np.ndarray, statistics: np.ndarray, rows: Sequence[int], spec: InputSpec, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A window (12, t) of some leads of a prepared recording, the others zero, with noise and a gain; and its mask."""
    window = np.zeros((len(LEADS), spec.samples), dtype=np.float32)
    start = random_start(samples.shape[1], spec, rng)
    window[rows], mask = cut_window(samples, statistics, rows, start, spec)
    noise = NOISE_SHARE * window[rows].std() * rng.standard_normal((len(rows), spec.samples), np.float32)
    window[rows] = (window[rows] + noise) * mask * np.float32(np.exp(GAIN_SD * rng.standard_normal()))
    return window, mask


def simulated_batch(step: int, recipe: Recipe, spec: InputSpec) -> Batch:
    """Batch ``step`` of a recipe: windows of twelve leads of which half of the recordings lack some."""
    rng = np.random.default_rng([recipe.seed, step])
    groups, windows, every = recipe.batch_size // GROUP, [], []
    for i in range(groups):
        for prepared, codes in simulated_group(step * groups + i, recipe.seed, spec.transform, rng):
            windows.append(draw_window(prepared.samples, prepared.statistics, draw_rows(rng), spec, rng))
            every.append(codes)
    space = label_space(recipe.space)
    if step < recipe.plain_steps:
        labels = [space.encode_for_training(one) for one in every]
    else:
        labels = [draw_targets(one, space, rng) for one in every]
    return as_batch(windows, np.array(labels, dtype=np.float32))


def as_batch(windows: Sequence[tuple[np.ndarray, np.ndarray]], labels: np.ndarray) -> Batch:
    """Windows of `draw_window` with their labels (b, k), as tensors."""
    values, masks = map(np.stack, zip(*windows, strict=True))
    mask = None if masks.all() else torch.from_numpy(masks)
    return Batch(torch.from_numpy(values), mask, torch.from_numpy(labels), {})


def trapezoid(step: int, steps: int) -> float:
    """Learning rate as a share of its highest: rises, stays, and falls to zero as one minus a square root.

    Until it falls it does not depend on ``steps``, so that a run can be shortened or extended on the way (Hägele et
    al., Scaling laws and compute-optimal training beyond fixed training durations, 2024).
    """
    falling = COOL_DOWN_SHARE * steps
    left = (steps - step) / falling
    return min(1.0, (step + 1) / WARM_UP_STEPS) * (1.0 if left >= 1 else 1 - math.sqrt(1 - left))


def fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32."""
    return torch.backends.mkldnn.is_available() and torch.cpu._is_avx512_bf16_supported()


def adamw(model: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW that decays weights, but neither biases nor gains of normalisation."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate)


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, bfloat16: bool) -> Tensor:
    """One step of an optimiser; returns the loss over the targets that are known."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        logits = model(batch.windows, batch.mask, **batch.extra)
    loss = cross_entropy(logits.float(), batch.labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
    optimizer.step()
    return loss.detach()


def _resumed(state: Path, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: dict) -> dict:
    """The progress of an unfinished run of the same recipe, restored; where there is none to read, a fresh one."""
    fresh = {"recipe": recipe, "steps": recipe["steps"], "step": 0, "core_seconds": 0.0, "losses": []}
    progress = read_progress(state)
    if progress is None:
        return fresh
    then, now = ({k: v for k, v in r.items() if k != "steps"} for r in (progress["recipe"], recipe))
    if then != now:
        raise ValueError(f"{state}: found the run of recipe {then}, expected {now}; remove the file to start again")
    if load_state(state, model, optimizer, progress["steps"]) is None:
        return fresh
    return progress | {"recipe": recipe, "steps": recipe["steps"]}


def train(
    recipe: Recipe,
    work: Path,
    log: Callable[[str], None] = print,
    stop_requested: Callable[[int], bool] = lambda step: False,
) -> nn.Module | None:
    """Trains a universal network, or goes on where a run in the same folder stopped.

    Args:
        recipe: what and for how long.
        work: folder of ``NETWORK.state`` while it is unfinished, then of ``NETWORK.safetensors`` and ``.json``.
        log: called with a line now and then.
        stop_requested: asked before each step, with its number; true saves the state and returns None.

    Raises:
        ValueError: the state in ``work`` is of another recipe.
    """
    work.mkdir(parents=True, exist_ok=True)
    state, model = work / f"{recipe.network}.state", recipe.untrained().train()
    optimizer = adamw(model, recipe.learning_rate, recipe.weight_decay)
    spec, bfloat16 = model.input_spec, fast_bfloat16()
    progress = _resumed(state, model, optimizer, json.loads(json.dumps(asdict(recipe))))
    before, started, saved = progress["core_seconds"], time.process_time(), time.monotonic()
    for step in range(progress["step"], recipe.steps):
        if stop_requested(step):
            save_state(state, model, optimizer, None, progress)
            return None
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * trapezoid(step, recipe.steps)
        loss = train_step(model, optimizer, simulated_batch(step, recipe, spec), bfloat16)
        progress["losses"].append(float(loss))
        progress |= {"step": step + 1, "core_seconds": before + time.process_time() - started}
        if (step + 1) % LOG_EVERY == 0:
            mean, seconds = np.mean(progress["losses"]), progress["core_seconds"]
            progress["losses"] = []
            log(f"{recipe.network} step {step + 1}/{recipe.steps} loss {mean:.4f} core {seconds:.0f} s")
        if time.monotonic() - saved > SAVE_EVERY_S:
            save_state(state, model, optimizer, None, progress)
            saved = time.monotonic()
    (work / f"{recipe.network}.json").write_text(json.dumps(progress, indent=1))
    save_weights(work / f"{recipe.network}.safetensors", model.eval())
    state.unlink(missing_ok=True)
    return model


def is_trained(recipe: Recipe, work: Path) -> bool:
    """Whether the weights of a recipe are in a folder.

    Raises:
        ValueError: those of the network are of another recipe.
    """
    weights, about = (work / f"{recipe.network}.{ending}" for ending in ("safetensors", "json"))
    if not weights.exists():
        return False
    then, now = json.loads(about.read_text())["recipe"], json.loads(json.dumps(asdict(recipe)))
    if then != now:
        raise ValueError(f"{weights}: found weights of recipe {then}, expected {now}; remove them to train anew")
    return True


def ship(recipe: Recipe, work: Path, folder: Path) -> Path:
    """Writes the trained weights in ``work`` as they ship, with how they were made; returns the file."""
    model = recipe.untrained()
    model.load_state_dict(load_file(work / f"{recipe.network}.safetensors"))
    progress = json.loads((work / f"{recipe.network}.json").read_text())
    about = {
        "data": "simulation alone", "space": recipe.space, "recipe": progress["recipe"],
        "recordings": progress["step"] * recipe.batch_size, "core_hours": round(progress["core_seconds"] / 3600, 2),
        "added": ADDED, "normal_only_share": NORMAL_ONLY_SHARE,
        "version": __version__,
    }  # fmt: skip
    return write_shipped(model, label_space(recipe.space).keys, about, folder)


def main() -> None:
    """Trains one network on one thread."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=sorted(RECIPES))
    parser.add_argument("work", type=Path)
    add_scale(parser)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--learning-rate", type=float, metavar="RATE", help="at its highest")
    parser.add_argument("--ship", type=Path, metavar="FOLDER", help="write the weights there as they ship")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    check_target(arguments.ship, arguments.scale)
    recipe = RECIPES[arguments.network].scaled(arguments.scale)
    given = {"steps": arguments.steps, "learning_rate": arguments.learning_rate}
    recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
    if not is_trained(recipe, arguments.work):
        train(recipe, arguments.work, lambda line: print(line, flush=True))
    if arguments.ship is not None:
        print(ship(recipe, arguments.work, arguments.ship))


if __name__ == "__main__":
    main()
