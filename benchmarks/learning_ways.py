"""What helps a universal network to learn from simulation, one change at a time, on the same batches.

    OMP_NUM_THREADS=1 python benchmarks/learning_ways.py DATA WORK [--network NAME] [--steps STEPS] [--seed SEED ...]
        [--output benchmarks/learning_ways.csv]

DATA and WORK are those of `leadset.training.shipped.tuning`; what a seed answered is kept in WORK and not done again.
Networks of one seed start from the same weights and learn from the same simulated recordings side by side:

- ``plain``: as the weights that ship learn (`leadset.training.shipped.universal`), in fewer steps;
- ``average``: the moving average of the plain network's weights (EMA);
- ``mixup``: recordings and their labels are mixed in pairs (Zhang et al., mixup: Beyond empirical risk minimization,
  ICLR 2018);
- ``masks``: stretches of time are zero in all leads (after Park et al., SpecAugment, Interspeech 2019);
- ``restoration``: the first quarter of the steps teaches the convolutions to restore leads that are missing, without
  labels;
- ``distillation``: half of each target is what the ResNet-34 from simulation alone says of all twelve leads, whichever
  of them the network sees (Hinton et al., Distilling the knowledge in a neural network, 2015).

Real recordings are only answered. Mean AUROC over the eleven classes of the Challenge's recordings on 12, 2 and 1 leads
and over the classes of PTB-XL and LUDB with enough recordings on 12; ``gain`` is that of the first over ``plain`` with
its 95 % interval over hearts, which says nothing of how another seed would come out: compare the rows of both.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tables import write_table
from teacher import ELEVEN, SPACE, mean_of_sources
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from leadset.leads import LEADS
from leadset.models.shipped import SIMULATED, load_shipped, read_shipped
from leadset.scoring.intervals import bootstrap
from leadset.scoring.metrics import Ranking
from leadset.training.shipped.real_sources import RealData, load_real_data
from leadset.training.shipped.tuning import answers
from leadset.training.shipped.universal import (
    GROUP,
    RECIPES,
    Recipe,
    adamw,
    as_batch,
    draw_window,
    fast_bfloat16,
    simulated_group,
    train_step,
    trapezoid,
)
from leadset.training.steps.batches import Batch
from leadset.training.steps.lead_dropout import draw_rows
from leadset.training.steps.source_labels import draw_targets
from leadset.training.trainer import GRADIENT_NORM
from leadset.utils.files import write_atomically
from leadset.utils.memory import keep_freed_memory

PLAIN, AVERAGE = "plain", "average"
#: Decay of the moving average at a step.
KEPT = 0.995
#: Parameter of mixup's beta distribution.
MIXUP = 0.2
#: Stretches that are hidden, and how long each is at most, as a share of the window.
STRETCHES, STRETCH = 2, 0.1
RESTORATION_SHARE = 0.25
TEACHER, TEACHER_SHARE = "resnet34", 0.5
COLUMNS = (
    "network", "seed", "steps", "way", "challenge_12", "challenge_2", "challenge_1", "ptbxl_12", "ludb_12", "gain",
    "low", "high",
)  # fmt: skip


class Both:
    """A batch as it was simulated, with all leads, and as networks get it, with those that are kept."""

    def __init__(self, step: int, recipe: Recipe, model: nn.Module) -> None:
        rng, spec = np.random.default_rng([recipe.seed, step]), model.input_spec
        windows, labels, every = [], [], list(range(len(LEADS)))
        groups = recipe.batch_size // GROUP
        for i in range(groups):
            for prepared, codes in simulated_group(step * groups + i, recipe.seed, spec.transform, rng):
                windows.append(draw_window(prepared.samples, prepared.statistics, every, spec, rng))
                labels.append(draw_targets(codes, SPACE, rng))
        self.full = as_batch(windows, np.array(labels, dtype=np.float32))
        kept = torch.zeros(len(windows), len(LEADS), 1)
        for one in kept:
            one[draw_rows(rng)] = 1.0
        self.kept, self.rng, self.step, self.steps = kept, rng, step, recipe.steps
        self.seen = self.full._replace(windows=self.full.windows * kept)


class Way:
    """A network that learns in one way; `batch` changes what it gets."""

    def __init__(self, recipe: Recipe) -> None:
        self.model = recipe.untrained().train()
        self.optimizer = adamw(self.model, recipe.learning_rate, recipe.weight_decay)

    def learn(self, both: Both, rate: float) -> None:
        """One step."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        train_step(self.model, self.optimizer, self.batch(both), fast_bfloat16())

    def batch(self, both: Both) -> Batch:
        """What the network learns from at a step."""
        return both.seen


class Mixup(Way):
    """Learns from mixtures of pairs."""

    def batch(self, both: Both) -> Batch:
        seen, n = both.seen, len(both.seen.labels)
        share = torch.from_numpy(both.rng.beta(MIXUP, MIXUP, n)).float()[:, None]
        other = torch.from_numpy(both.rng.permutation(n))
        mixed = share[..., None] * seen.windows + (1 - share[..., None]) * seen.windows[other]
        return seen._replace(windows=mixed, labels=share * seen.labels + (1 - share) * seen.labels[other])


class Masks(Way):
    """Learns from windows of which stretches are hidden."""

    def batch(self, both: Both) -> Batch:
        windows = both.seen.windows.clone()
        n, _, t = windows.shape
        for _ in range(STRETCHES):
            lengths = both.rng.integers(0, round(STRETCH * t) + 1, n)
            for window, length in zip(windows, lengths.tolist(), strict=True):
                start = int(both.rng.integers(0, t - length + 1))
                window[:, start : start + length] = 0.0
        return both.seen._replace(windows=windows)


class Restoration(Way):
    """First restores the leads that it does not see, then learns as others do."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.maps: list[Tensor] = []
        self.until = round(RESTORATION_SHARE * recipe.steps)
        layer = [module for module in self.model.modules() if isinstance(module, nn.Conv1d)][-1]
        self.hook = layer.register_forward_hook(lambda module, given, maps: self.maps.append(maps))
        self.head = nn.Conv1d(layer.out_channels, len(LEADS), 1)
        self.head_optimizer = adamw(self.head, recipe.learning_rate, recipe.weight_decay)

    def learn(self, both: Both, rate: float) -> None:
        if both.step >= self.until:
            self.hook.remove()
            super().learn(both, rate)
            return
        for optimizer in (self.optimizer, self.head_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
        self.maps.clear()
        with torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16()):
            self.model(both.seen.windows, both.seen.mask, **both.seen.extra)
            restored = F.interpolate(self.head(self.maps.pop()), both.full.windows.shape[-1], mode="linear")
        missing = (1 - both.kept).expand_as(restored)
        loss = (missing * (restored.float() - both.full.windows) ** 2).sum() / missing.sum().clamp(min=1)
        loss.backward()
        nn.utils.clip_grad_norm_([*self.model.parameters(), *self.head.parameters()], GRADIENT_NORM)
        self.optimizer.step()
        self.head_optimizer.step()


class Distillation(Way):
    """Learns what a better network says of all leads, beside the labels."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.teacher = load_shipped(TEACHER, LEADS, folder=SIMULATED).eval()

    def batch(self, both: Both) -> Batch:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16()):
            said = torch.sigmoid(self.teacher(both.full.windows, both.full.mask).float())
        labels = TEACHER_SHARE * said.clone() + (1 - TEACHER_SHARE) * both.seen.labels
        return both.seen._replace(labels=labels)


WAYS: dict[str, Callable[[Recipe], Way]] = {
    PLAIN: Way, "mixup": Mixup, "masks": Masks, "restoration": Restoration, "distillation": Distillation,
}  # fmt: skip


def learn(recipe: Recipe) -> dict[str, dict[str, Tensor]]:
    """Weights by way after all steps."""
    ways = {}
    for name, way in WAYS.items():
        torch.manual_seed(recipe.seed)
        ways[name] = way(recipe)
    plain = ways[PLAIN].model
    average = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    for step in tqdm(range(recipe.steps), f"{recipe.network}, seed {recipe.seed}", unit="step"):
        both, rate = Both(step, recipe, plain), recipe.learning_rate * trapezoid(step, recipe.steps)
        for way in ways.values():
            way.learn(both, rate)
        share = min(KEPT, (1 + step) / (10 + step))
        for name, tensor in plain.state_dict().items():
            average[name] = tensor.lerp(average[name], share) if tensor.is_floating_point() else tensor.clone()
    return {name: way.model.state_dict() for name, way in ways.items()} | {AVERAGE: average}


def answered(recipe: Recipe, real: RealData, work: Path) -> dict[str, dict[str, np.ndarray]]:
    """Probabilities (n, k) of all real recordings by way and lead set, learnt and answered once."""
    file = work / f"{recipe.network}-ways-{recipe.steps}-{recipe.seed}.npz"
    if not file.exists():
        arrays = {}
        for way, tensors in learn(recipe).items():
            found = answers(recipe.network, recipe.options, tensors, real, np.arange(len(real.folds)))
            arrays |= {f"{way}/{leads}": values for leads, values in found.items()}
        with write_atomically(file, "wb") as opened:
            np.savez(opened, **arrays)
    ways: dict[str, dict[str, np.ndarray]] = {}
    with np.load(file) as kept:
        for key in kept.files:
            way, leads = key.split("/")
            ways.setdefault(way, {})[leads] = kept[key]
    return ways


def rows(recipe: Recipe, real: RealData, work: Path) -> Iterator[dict]:
    """Rows of one seed."""
    ways, challenge = answered(recipe, real, work), real.sources == "challenge"
    evidence = np.nan_to_num(real.targets[challenge])[:, ELEVEN] > 0
    rankings = {way: Ranking(evidence, found["12"][challenge][:, ELEVEN]) for way, found in ways.items()}
    for way in dict.fromkeys([PLAIN, AVERAGE, *WAYS]):
        values = mean_of_sources(ways[way], real.targets, real.sources)

        def gain(counts: np.ndarray, way: str = way) -> float:
            return float(np.nanmean(rankings[way].areas(counts)[0]) - np.nanmean(rankings[PLAIN].areas(counts)[0]))

        interval = bootstrap(gain, int(challenge.sum()), real.groups[challenge])
        values |= {"gain": interval.value, "low": interval.low, "high": interval.high}
        yield {
            "network": recipe.network, "seed": recipe.seed, "steps": recipe.steps, "way": way,
            **{name: f"{value:.3f}" for name, value in values.items() if name in COLUMNS},
        }  # fmt: skip


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--network", default="cnn_heartmaasters")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, action="append", help="by default 2021 and 2022")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    options = read_shipped(SIMULATED / f"{arguments.network}.safetensors")[1]["options"]
    recipe = replace(RECIPES[arguments.network], options=options, steps=arguments.steps, plain_steps=0)
    transform = load_shipped(arguments.network, folder=SIMULATED).input_spec.transform
    real, table = load_real_data(arguments.data, arguments.work, [transform]), []
    for seed in arguments.seed or (2021, 2022):
        table += rows(replace(recipe, seed=seed), real, arguments.work)
        write_table(arguments.output, COLUMNS, table)


if __name__ == "__main__":
    main()
