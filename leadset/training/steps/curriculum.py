"""What is learnt from when: phases of a training, each with recordings, steps and a learning rate of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Pool:
    """The recordings of an epoch.

    Attributes:
        every: indices of those that every epoch goes through.
        drawn: further indices, each with how many of them an epoch takes: others every time.
    """

    every: np.ndarray
    drawn: tuple[tuple[np.ndarray, int], ...] = ()

    def __len__(self) -> int:
        return len(self.every) + sum(number for _, number in self.drawn)

    def epoch(self, number: int, seed: int) -> np.ndarray:
        """Indices (len(self),) of an epoch in their order, a function of its number and the seed."""
        rng = np.random.default_rng([seed, 0, number])
        if not self.drawn:
            return rng.permutation(self.every)
        # Draws go round: no recording comes back before all others of its kind have been taken.
        taken = []
        for kind, (indices, n) in enumerate(self.drawn):
            rounds, places = np.divmod(np.arange(number * n, (number + 1) * n), len(indices))
            order = {r: np.random.default_rng([seed, 2, kind, r]).permutation(indices) for r in np.unique(rounds)}
            taken += [order[r][place] for r, place in zip(rounds, places, strict=True)]
        return rng.permutation(np.concatenate([self.every, np.array(taken, dtype=int)]))

    def members(self, step: int, batch_size: int, seed: int) -> np.ndarray:
        """Recordings (b,) of a step: a stretch of the endless row of epochs."""
        epochs, places = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), len(self))
        order = {epoch: self.epoch(epoch, seed) for epoch in np.unique(epochs).tolist()}
        return np.array([order[epoch][place] for epoch, place in zip(epochs.tolist(), places, strict=True)])


@dataclass(frozen=True)
class Phase:
    """A stretch of training steps.

    Attributes:
        name: for logs, such as ``"simulated"`` or ``"real"``.
        pool: what its epochs consist of.
        steps: how many.
        learning_rate: at the peak of its own one-cycle schedule.
        reports: how often it is reported at most; 0: after every epoch.
    """

    name: str
    pool: Pool
    steps: int
    learning_rate: float
    reports: int = 0

    def epoch_steps(self, batch_size: int) -> int:
        """Steps after which every recording of the pool has been seen about once."""
        return max(1, round(len(self.pool) / batch_size))

    def report_steps(self, batch_size: int) -> int:
        """Steps between two reports."""
        return max(self.epoch_steps(batch_size), -(-self.steps // self.reports) if self.reports else 1)


@dataclass(frozen=True)
class Curriculum:
    """Phases one after the other; each begins with an epoch and a schedule of its own."""

    phases: tuple[Phase, ...]

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    def at(self, step: float) -> tuple[Phase, float]:
        """The phase of a step, and the step's number within it; a place between two steps has a fraction."""
        for phase in self.phases:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        raise IndexError("no such step in this curriculum")

    def scaled(self, steps: int) -> Curriculum:
        """The same phases with so many steps altogether, in the same proportion."""
        wanted = np.cumsum([phase.steps for phase in self.phases])
        ends = np.rint(wanted * (steps / wanted[-1])).astype(int)
        numbers = np.diff(ends, prepend=0).tolist()
        return Curriculum(tuple(replace(phase, steps=n) for phase, n in zip(self.phases, numbers, strict=True)))


def top_up(labels: np.ndarray, real: np.ndarray, simulated: np.ndarray, target: int, share: float) -> Pool:
    """Real recordings, with simulated ones of the classes that are rare among them.

    Args:
        labels: (n, k) bool.
        real, simulated: indices into it.
        target: a class with fewer real recordings than this gets as many simulated ones as it lacks.
        share: at most this share of an epoch is simulated; where more is lacking, every class gets less alike.
    """
    lacking = np.maximum(target - labels[real].sum(axis=0), 0)
    candidates = [simulated[labels[simulated, k]] for k in range(labels.shape[1])]
    lacking[[not len(indices) for indices in candidates]] = 0
    most = share / (1 - share) * len(real)
    if lacking.sum() > most:
        lacking = np.floor(lacking * (most / lacking.sum())).astype(int)
    return Pool(real, tuple((indices, int(n)) for indices, n in zip(candidates, lacking, strict=True) if n))
