"""Universal networks that go on learning from real recordings, mixed with simulated ones.

    python -m leadset.training.shipped.tuning DATA WORK [--network NAME ...] [--variant NAME] [--fold K ...]
        [--readout NAME ...] [--start FOLDER] [--scale SHARE] [--ship FOLDER]

DATA is a folder as `leadset.training.shipped.real_sources` describes it. Each network is tuned six times: without each
of five folds, whose recordings it then answers, and on everything, which is what ships. Recordings of one patient are
in one fold, whichever source they come from. A job that is done is kept in WORK and not done again; what the five
answer is in ``NAME-VARIANT.npz`` there, out of fold for every recording.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from leadset import __version__
from leadset.classes import CHALLENGE, label_space
from leadset.leads import LEAD_SETS, LEADS, lead_set_name
from leadset.models import create_model
from leadset.models.lead_cut import cut_leads
from leadset.models.prediction import predict
from leadset.models.shipped import SIMULATED, load_shipped, read_shipped, shipped_networks, write_shipped
from leadset.preprocess import InputSpec, Prepared, Transform
from leadset.training.shipped.real_sources import FOLDS, SOURCES, RealData, load_real_data
from leadset.training.shipped.rehearsal import add_scale, check_target, scaled
from leadset.training.shipped.universal import (
    adamw,
    as_batch,
    draw_window,
    fast_bfloat16,
    simulated_group,
    train_step,
)
from leadset.training.steps.batches import Batch
from leadset.training.steps.lead_dropout import draw_rows
from leadset.training.steps.source_labels import draw_targets
from leadset.utils.files import write_atomically
from leadset.utils.memory import keep_freed_memory
from leadset.utils.weights import read_tensors

#: Simulated recordings that the tuning draws from, in groups of `GROUP`, other than those that the network comes from.
BANK_GROUPS, BANK_SEED = 128, 2022
#: Windows that are answered together.
AT_A_TIME = 16
#: Which weights answer after a tuning: the last ones, their moving average, or the mean of the first and the last
#: (Wortsman et al., Robust fine-tuning of zero-shot models, 2022).
READOUTS = ("last", "average", "half-way")
#: That of the weights that ship: half-way keeps what simulation taught of few leads; STAR, which it taught less, gains
#: from all of the tuning (`benchmarks/teacher.csv`).
READOUT, READOUT_OF = "half-way", {"star": "last"}
ALL = "all"
#: In the place of a variant and a readout: the weights that a tuning starts from.
START = "start"


def readout_of(network: str) -> str:
    """Which weights of a network ship after its tuning."""
    return READOUT_OF.get(network, READOUT)


@dataclass(frozen=True)
class Tuning:
    """How a universal network is tuned.

    Attributes:
        steps: optimiser steps.
        batch_size: recordings a step.
        simulated_share: of a batch.
        shares: of the sources among the real recordings of a batch.
        learning_rate: at its highest; it rises for `warm_up` steps, then falls to zero in a line.
        warm_up: steps.
        weight_decay: of weights other than biases and gains.
        averaging: what the moving average keeps of itself at a step.
        seed: of recordings, windows and dropout.
    """

    steps: int = 200
    batch_size: int = 64
    simulated_share: float = 0.5
    shares: dict[str, float] = field(
        default_factory=lambda: {"challenge": 0.4, "ptbxl": 0.3, "ludb": 0.1, "af_2017": 0.2}
    )
    learning_rate: float = 6e-4
    warm_up: int = 20
    weight_decay: float = 0.02
    averaging: float = 0.97
    seed: int = 2021

    def scaled(self, scale: float) -> Tuning:
        """The same in a share of the steps."""
        return replace(self, steps=scaled(self.steps, scale))


#: Ways to tune; the first is what ships, the others show what its parts are worth.
VARIANTS: dict[str, Tuning] = {
    "tuned": Tuning(),
    "challenge-alone": Tuning(shares={"challenge": 1.0}),
    "without-simulation": Tuning(simulated_share=0.0),
    "slower": Tuning(learning_rate=2e-4),
}


@dataclass(frozen=True)
class Mixture:
    """Batches of real and simulated recordings, each a function of the seed and the step.

    Attributes:
        real: recordings.
        members: indices of those that are learned from, by source.
        bank: prepared simulated recordings with their codes.
        tuning: shares and seed.
        spec: input of the network.
    """

    real: RealData
    members: dict[str, np.ndarray]
    bank: Sequence[tuple[Prepared, Sequence[str]]]
    tuning: Tuning
    spec: InputSpec

    def __getitem__(self, step: int) -> Batch:
        rng, space = np.random.default_rng([self.tuning.seed, step]), label_space(CHALLENGE)
        simulated = round(self.tuning.simulated_share * self.tuning.batch_size)
        windows, labels = [], []
        for i in rng.integers(len(self.bank), size=simulated).tolist():
            prepared, codes = self.bank[i]
            windows.append(draw_window(prepared.samples, prepared.statistics, draw_rows(rng), self.spec, rng))
            labels.append(draw_targets(codes, space, rng).astype(np.float32))
        shares = {source: share for source, share in self.tuning.shares.items() if len(self.members[source])}
        weights = np.array(list(shares.values())) / sum(shares.values())
        for source in rng.choice(list(shares), size=self.tuning.batch_size - simulated, p=weights):
            i = rng.choice(self.members[source])
            rows = [0] if source == "af_2017" else draw_rows(rng)
            windows.append(draw_window(*self.real.stores[self.spec.transform][i], rows, self.spec, rng))
            labels.append(self.real.targets[i])
        return as_batch(windows, np.stack(labels))


def simulated_bank(transform: Transform, scale: float = 1.0) -> list[tuple[Prepared, Sequence[str]]]:
    """The simulated recordings that are mixed in, or a share of them."""
    rng = np.random.default_rng(BANK_SEED)
    groups = tqdm(range(scaled(BANK_GROUPS, scale)), "simulate", unit="group", leave=False)
    return [one for index in groups for one in simulated_group(index, BANK_SEED, transform, rng)]


def tune(network: str, start: Path, mixture: Mixture) -> tuple[dict[str, dict[str, Tensor]], list[float]]:
    """Weights of twelve leads by `READOUTS`, and the loss of each step."""
    tuning = mixture.tuning
    torch.manual_seed(tuning.seed)
    model = load_shipped(network, LEADS, folder=start).train()
    first = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    average = {name: tensor.clone() for name, tensor in first.items()}
    optimizer, bfloat16, losses = adamw(model, tuning.learning_rate, tuning.weight_decay), fast_bfloat16(), []
    for step in tqdm(range(tuning.steps), network, unit="step", leave=False):
        rate = tuning.learning_rate * min((step + 1) / tuning.warm_up, 1.0) * (1 - step / tuning.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        losses.append(float(train_step(model, optimizer, mixture[step], bfloat16)))
        # Young averages keep less of themselves, so that the first weights do not stay in them.
        average = _between(model.state_dict(), average, min(tuning.averaging, (1 + step) / (10 + step)))
    last = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    return dict(zip(READOUTS, (last, average, _between(last, first, 0.5)), strict=True)), losses


def _between(one: Mapping[str, Tensor], other: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights that are ``share`` of the way from one to another; counters are those of the first."""
    return {
        name: tensor.lerp(other[name], share) if tensor.is_floating_point() else tensor.clone()
        for name, tensor in one.items()
    }


def answers(
    network: str, options: dict[str, Any], tensors: dict[str, Tensor], real: RealData, chosen: np.ndarray
) -> dict[str, np.ndarray]:
    """Probabilities (n, k) by lead set of the chosen recordings; NaN for sets that a recording does not have."""
    found, space = {}, label_space(CHALLENGE)
    for leads in tqdm(LEAD_SETS.values(), f"{network} answers", unit="lead set", leave=False):
        model = create_model(network, leads, len(space), **options)
        model.load_state_dict(cut_leads(model, tensors, leads))
        asked = np.flatnonzero((real.sources[chosen] != "af_2017") | (leads == ("I",)))
        store = real.stores[model.input_spec.transform]
        recordings = (store[chosen[i]] for i in asked)
        values = np.full((len(chosen), len(space)), np.nan, dtype=np.float32)
        if len(asked):
            values[asked] = list(predict(model.eval(), recordings, leads, model.input_spec, AT_A_TIME))
        found[lead_set_name(leads)] = values
    return found


@dataclass(frozen=True)
class Job:
    """One tuning: a network, a way, the fold that is left out, or `ALL`, and the share of the steps.

    Attributes:
        readouts: the weights that answer the fold that is left out; by default those that ship.
    """

    network: str
    variant: str
    fold: str
    scale: float = 1.0
    readouts: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """Of its files."""
        return f"{self.network}-{self.variant}-{self.fold}"

    @property
    def tuning(self) -> Tuning:
        """How it is done."""
        return VARIANTS[self.variant].scaled(self.scale)

    @property
    def asked(self) -> tuple[str, ...]:
        """The weights that answer: of a tuning on everything none, as no recording is left."""
        return () if self.fold == ALL else self.readouts or (readout_of(self.network),)

    def is_done(self, work: Path) -> bool:
        """Whether its file is there, with the answers of all weights that are asked.

        Raises:
            ValueError: the file is of another tuning.
        """
        file, now = work / f"{self.stem}.npz", json.loads(json.dumps(asdict(self.tuning)))
        if not file.exists():
            return False
        then = progress_of(file)
        if then["tuning"] != now:
            raise ValueError(f"{file}: found a tuning {then['tuning']}, expected {now}; remove the file to tune anew")
        return set(self.asked) <= set(then.get("answered", READOUTS))  # once all of them answered, and none was named

    def execute(self, start: Path, work: Path, real: RealData, bank: Sequence) -> None:
        """Tunes, then answers the fold that was left out, or keeps the weights."""
        metadata = read_shipped(start / f"{self.network}.safetensors")[1]
        spec = create_model(self.network, LEADS, **metadata["options"]).input_spec
        left_out = np.zeros(len(real.folds), dtype=bool) if self.fold == ALL else real.folds == int(self.fold)
        members = {source: np.flatnonzero((real.sources == source) & ~left_out) for source in SOURCES}
        started = time.process_time()
        tuned, losses = tune(self.network, start, Mixture(real, members, bank, self.tuning, spec))
        progress = {"core_seconds": time.process_time() - started, "losses": losses, "start": metadata}
        progress |= {"tuning": asdict(self.tuning), "answered": self.asked}
        progress |= {"recordings": {source: len(indices) for source, indices in members.items()}}
        arrays = {}
        if self.fold == ALL:
            for readout, tensors in tuned.items():
                save_file({n: t.contiguous() for n, t in tensors.items()}, work / f"{self.stem}-{readout}.safetensors")
        else:
            chosen = np.flatnonzero(left_out)
            for readout in self.asked:
                by_set = answers(self.network, metadata["options"], tuned[readout], real, chosen)
                arrays |= {f"{readout}/{leads}": values for leads, values in by_set.items()}
            arrays["chosen"] = chosen
        with write_atomically(work / f"{self.stem}.npz", "wb") as file:
            np.savez(file, progress=json.dumps(progress), **arrays)


def progress_of(file: Path) -> dict[str, Any]:
    """How the tuning went that wrote a file."""
    with np.load(file) as kept:
        return json.loads(str(kept["progress"]))


def out_of_fold(network: str, variant: str, real: RealData, work: Path) -> dict[str, np.ndarray]:
    """Probabilities (n, k) of all recordings by ``READOUT/LEADS``, each by a network that did not see its fold.

    Weights that did not answer in every fold are left out.
    """
    folds = []
    for fold in range(FOLDS):
        with np.load(work / f"{Job(network, variant, str(fold)).stem}.npz") as kept:
            folds.append(dict(kept))
    joint: dict[str, np.ndarray] = {}
    for key in set.intersection(*map(set, folds)) - {"chosen", "progress"}:
        joint[key] = np.full(real.targets.shape, np.nan, dtype=np.float32)
        for fold in folds:
            joint[key][fold["chosen"]] = fold[key]
    return joint


def answers_of(network: str, work: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """What the weights that ship answer of recordings that they did not see: names, and probabilities by lead set.

    Those of the tuning out of fold, or, where a network was not tuned, those of the weights from simulation alone.

    Raises:
        OSError: there are neither.
    """
    tuned = work / f"{network}-{next(iter(VARIANTS))}.npz"
    file, readout = (tuned, readout_of(network)) if tuned.exists() else (work / f"{network}-{START}.npz", START)
    with np.load(file) as kept:
        sets = map(lead_set_name, LEAD_SETS.values())
        return kept["names"].tolist(), {leads: kept[f"{readout}/{leads}"] for leads in sets}


def answer_untuned(network: str, start: Path, real: RealData, work: Path) -> None:
    """Writes what the weights that the tuning starts from answer, which saw none of the recordings."""
    file = work / f"{network}-{START}.npz"
    if not file.exists():
        tensors, metadata = read_shipped(start / f"{network}.safetensors")
        by_set = answers(network, metadata["options"], tensors, real, np.arange(len(real.folds)))
        with write_atomically(file, "wb") as opened:
            np.savez(opened, names=real.names, **{f"{START}/{leads}": values for leads, values in by_set.items()})


def run(jobs: Sequence[Job], real: RealData, start: Path, work: Path) -> Iterator[Job]:
    """Does what is not done yet; yields each job that is. Networks with all folds get their answers in one file."""
    banks: dict[Transform, list] = {}
    for job in tqdm(jobs, "tune", unit="job"):
        if not job.is_done(work):
            transform = load_shipped(job.network, folder=start).input_spec.transform
            if transform not in banks:
                banks[transform] = simulated_bank(transform, job.scale)
            job.execute(start, work, real, banks[transform])
        yield job
    for network, variant in dict.fromkeys((job.network, job.variant) for job in jobs):
        answer_untuned(network, start, real, work)
        if not all((work / f"{Job(network, variant, str(fold)).stem}.npz").exists() for fold in range(FOLDS)):
            continue
        with write_atomically(work / f"{network}-{variant}.npz", "wb") as file:
            np.savez(file, names=real.names, **out_of_fold(network, variant, real, work))


def ship(network: str, readout: str, work: Path, folder: Path) -> Path:
    """Writes the weights that learned from everything as they ship; returns the file."""
    job = Job(network, next(iter(VARIANTS)), ALL)
    progress = progress_of(work / f"{job.stem}.npz")
    start = progress["start"]
    model = create_model(network, LEADS, len(start["classes"]), **start["options"])
    model.load_state_dict(read_tensors(work / f"{job.stem}-{readout}.safetensors"))
    about = {
        "data": "simulation, then real recordings", "space": start["space"], "real": progress["recordings"],
        "tuning": progress["tuning"], "readout": readout, "recipe": start["recipe"],
        "recordings": start["recordings"], "tuning_core_hours": round(progress["core_seconds"] / 3600, 3),
        "core_hours": start["core_hours"], "version": __version__,
    }  # fmt: skip
    return write_shipped(model, start["classes"], about, folder)


def main() -> None:
    """Tunes networks on one thread."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--network", action="append", help="by default all that have weights from simulation alone")
    parser.add_argument("--variant", choices=VARIANTS, default=next(iter(VARIANTS)))
    add_scale(parser)
    parser.add_argument("--start", type=Path, default=SIMULATED, help="folder of the weights to start from")
    folds = [*map(str, range(FOLDS)), ALL]
    parser.add_argument("--fold", action="append", choices=folds, help="left out (default: each in turn, and none)")
    parser.add_argument("--readout", action="append", default=[], choices=READOUTS,
                        help="weights that answer the fold that is left out (default: those that ship)")
    parser.add_argument("--ship", type=Path, metavar="FOLDER", help="write the weights there as they ship")
    arguments = parser.parse_args()
    check_target(arguments.ship, arguments.scale)
    torch.set_num_threads(1)
    keep_freed_memory()
    arguments.work.mkdir(parents=True, exist_ok=True)
    networks = arguments.network or shipped_networks(arguments.start, "classifier")
    transforms = [load_shipped(network, folder=arguments.start).input_spec.transform for network in networks]
    real = load_real_data(arguments.data, arguments.work, transforms, arguments.scale)
    jobs = [
        Job(network, arguments.variant, fold, arguments.scale, tuple(arguments.readout))
        for network in networks
        for fold in arguments.fold or folds
    ]
    for job in run(jobs, real, arguments.start, arguments.work):
        tqdm.write(f"{job.stem} is done")
    if arguments.ship is not None:
        for network in networks:
            print(ship(network, readout_of(network), arguments.work, arguments.ship))


if __name__ == "__main__":
    main()
