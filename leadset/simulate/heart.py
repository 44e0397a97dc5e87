"""Individual hearts: everything that is drawn once for a recording before its diagnoses change it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from leadset.simulate import loops
from leadset.simulate.draws import Draws

#: Rhythms that the beat generator distinguishes (values of `Heart.rhythm`).
SINUS, FIBRILLATION, FLUTTER, JUNCTIONAL, PACED_VENTRICLE = range(5)

#: Kinds of P wave and of QRS-T (second axis of the loops of `Heart`).
P_SINUS, P_ECTOPIC = range(2)
CONDUCTED, VENTRICULAR = range(2)

_QRS_COMPONENTS = len(loops.QRS_NORMAL) + len(loops.QRS_RIGHT_TERMINAL)  # the most that any condition needs


@dataclass
class AtrialWaves:
    """Fibrillatory or flutter waves of n recordings."""

    frequency: np.ndarray  # Hz
    size: np.ndarray  # (n, 3), mV
    lag: np.ndarray  # (n, 3), radians: each axis has its own phase, or the waves of all leads would be copies
    wander: np.ndarray  # (n, 6), uniform: how size and frequency drift


@dataclass
class Heart:
    """Hearts of n recordings; conditions change these arrays in place, row by row. Times in seconds, vectors in mV."""

    age: np.ndarray
    female: np.ndarray
    rhythm: np.ndarray
    rate: np.ndarray  # mean ventricular rate, beats a minute
    fibrillation: AtrialWaves
    flutter: AtrialWaves
    block: np.ndarray  # atrial waves for a beat of the ventricles
    block_varies: np.ndarray
    av_block: np.ndarray  # number in `av_block.AV_BLOCKS`, -1 without
    pr: np.ndarray
    p_duration: np.ndarray
    qrs_duration: np.ndarray  # (n, kinds)
    qtc: np.ndarray  # (n, kinds), Fridericia
    p: np.ndarray  # (n, kinds, components, 5)
    qrs: np.ndarray
    t: np.ndarray
    atrial_spike: np.ndarray  # a pacemaker before P
    ventricular_spike: np.ndarray  # and before QRS
    spike: np.ndarray  # (n, 3)
    respiration: np.ndarray  # breaths a second
    breath_swing: np.ndarray  # relative change of amplitudes with breathing
    respiratory_swing: np.ndarray  # relative change of RR with breathing
    slow_swing: np.ndarray  # the same at the 0.1-Hz rhythm of blood pressure
    jitter: np.ndarray  # relative SD of what is left
    premature: dict[str, np.ndarray] = field(default_factory=dict)  # "atrial", "ventricular": share of beats

    @property
    def n(self) -> int:
        """Number of recordings."""
        return len(self.age)

    def widen(self, rows: np.ndarray, duration: np.ndarray) -> None:
        """Sets the duration (n,) of conducted QRS complexes; QT grows with it, as the JT interval hardly changes."""
        longer = duration - self.qrs_duration[:, CONDUCTED]
        self.qrs_duration[rows, CONDUCTED] = duration[rows]
        self.qtc[rows, CONDUCTED] += 0.8 * longer[rows]


def draw_hearts(draws: Draws, age: np.ndarray, female: np.ndarray) -> Heart:
    """Healthy hearts in sinus rhythm for persons of given age (n,) in years and sex (n,).

    Intervals follow the reference ranges of Mason et al., "Electrocardiographic reference ranges derived from 79,743
    ambulatory subjects", J. Electrocardiol. 40:228-234, 2007, and the medians of each sex in ELSA-Brasil (Pinto-Filho
    et al., Arq. Bras. Cardiol. 109:416-424, 2017); T waves the dependence on age and sex of Gambill et al., "T wave
    amplitudes in normal populations", J. Electrocardiol. 28:191-197, 1995. Amplitudes and axes were then compared with
    recordings of healthy persons, see ``docs/simulator.md``.
    """
    n = draws.n
    older = (age - 50) / 10
    swing = np.clip(0.055 * np.exp(-0.018 * (age - 20)) * np.exp(0.5 * draws.normal()), 0.002, 0.09)
    heart = Heart(
        age=age,
        female=female,
        rhythm=np.full(n, SINUS),
        rate=np.full(n, 70.0),
        fibrillation=_fibrillation(draws),
        flutter=_flutter(draws),
        block=np.ones(n, dtype=int),
        block_varies=np.zeros(n, dtype=bool),
        av_block=np.full(n, -1),
        pr=np.clip(0.159 + 0.003 * older - 0.006 * female + 0.022 * draws.normal(), 0.115, 0.197),
        p_duration=np.clip(0.115 + 0.001 * older - 0.004 * female + 0.010 * draws.normal(), 0.080, 0.135),
        qrs_duration=np.clip(0.091 - 0.006 * female + 0.009 * draws.normal(), 0.068, 0.111)[:, None].repeat(2, 1),
        qtc=np.clip(0.396 + 0.011 * female + 0.002 * older + 0.018 * draws.normal(), 0.35, 0.45)[:, None].repeat(2, 1),
        p=_p_loops(draws),
        qrs=np.zeros((n, 2, _QRS_COMPONENTS, 5)),
        t=np.zeros((n, 2, len(loops.T_NORMAL), 5)),
        atrial_spike=np.zeros(n, dtype=bool),
        ventricular_spike=np.zeros(n, dtype=bool),
        spike=np.zeros((n, 3)),
        respiration=np.clip(0.25 + 0.05 * draws.normal(), 0.13, 0.45),
        breath_swing=0.03 * draws.normal(),
        respiratory_swing=swing,
        slow_swing=swing * draws.uniform(low=0.2, high=1.0),
        jitter=draws.uniform(low=0.002, high=0.012),
        premature={"atrial": np.zeros(n), "ventricular": np.zeros(n)},
    )
    everyone = np.ones(n, dtype=bool)
    set_loops(heart.qrs, everyone, CONDUCTED, _normal_qrs(draws, age, female))
    set_loops(heart.t, everyone, CONDUCTED, _normal_t(draws, age, female, heart.qrs[:, CONDUCTED]))
    _set_ventricular(draws, heart)
    return heart


def set_loops(target: np.ndarray, rows: np.ndarray, kind: int, new: np.ndarray) -> None:
    """Puts loops (n, components, 5) in the place of those of one kind (n, kinds, more components, 5); the components
    left over get no height and a width that can be divided by."""
    empty = np.zeros((len(new), target.shape[2] - new.shape[1], 5))
    empty[..., 1] = 1.0
    target[rows, kind] = np.concatenate([new, empty], axis=1)[rows]


def vary(draws: Draws, loop: np.ndarray, spread: float) -> np.ndarray:
    """Individual versions (n, components, 5) of a loop: ``spread`` is the relative SD of vectors, a fifth of it that of
    times."""
    out = np.broadcast_to(loop, (draws.n, *loop.shape[-2:])).copy()
    out[..., :2] *= 1 + 0.2 * spread * draws.normal(loop.shape[-2], 2)
    size = np.linalg.norm(out[..., 2:], axis=-1, keepdims=True)
    out[..., 2:] += 0.6 * spread * size * draws.normal(loop.shape[-2], 3)
    return out


def _fibrillation(draws: Draws) -> AtrialWaves:
    height = 0.045 * np.exp(0.4 * draws.normal(1))
    direction = np.array([-0.5, 0.4, -1.1]) + 0.25 * draws.normal(3)
    frequency = np.clip(6.0 + 0.9 * draws.normal(), 4, 9)
    return AtrialWaves(frequency, height * direction, draws.uniform(3, high=4.4), draws.uniform(6))


def _flutter(draws: Draws) -> AtrialWaves:
    height = 0.065 * np.exp(0.35 * draws.normal(1))
    typical = draws.flags(0.85)[:, None]  # the circuit runs down the right free wall, otherwise up
    direction = np.where(typical, [-0.1, 1.0, 0.35], [0.2, -0.8, 0.5]) + 0.15 * draws.normal(3)
    frequency = np.clip(285 + 28 * draws.normal(), 230, 340) / 60
    return AtrialWaves(frequency, height * direction, 0.4 * draws.normal(3), draws.uniform(6))


def _p_loops(draws: Draws) -> np.ndarray:
    size = np.exp(0.20 * draws.normal(1, 1))
    sinus, ectopic = vary(draws, loops.P_SINUS, 0.3), vary(draws, loops.P_SINUS, 0.9)
    out = np.stack([sinus, ectopic], axis=1)
    out[..., 2:] *= size[:, None]
    return out


def _normal_qrs(draws: Draws, age: np.ndarray, female: np.ndarray) -> np.ndarray:
    qrs = vary(draws, loops.QRS_NORMAL, 0.22)
    qrs = loops.rotate(qrs, np.clip(4 + 18 * draws.normal(), -40, 45), "y")
    axis = np.clip(43 - 0.55 * (age - 50) + 27 * draws.normal(), -28, 88)
    qrs = loops.with_axis(qrs, axis)
    size = np.exp(0.22 * draws.normal()) * np.where(female, 0.92, 1.05) * np.where(age < 30, 1.12, 1.0)
    qrs[..., 2:] *= size[:, None, None]
    qrs[..., 4] *= np.exp(0.25 * draws.normal(1))  # chests differ most from front to back
    return qrs


def _normal_t(draws: Draws, age: np.ndarray, female: np.ndarray, qrs: np.ndarray) -> np.ndarray:
    t = vary(draws, loops.T_NORMAL, 0.2)
    t = loops.rotate(t, 17 * draws.normal(), "y")
    axis = np.clip(0.4 * loops.frontal_axis(qrs) + 25 + 13 * draws.normal(), -10, 80)
    t = loops.with_axis(t, axis)
    # A quarter higher in men, and 10 to 15 % lower every twenty years.
    size = np.exp(0.38 * draws.normal()) * np.where(female, 0.84, 1.05) * np.clip(1.3 - 0.006 * age, 0.75, 1.25)
    t[..., 2:] *= size[:, None, None]
    return t


def _set_ventricular(draws: Draws, heart: Heart) -> None:
    """The shape of a premature ventricular beat: one slow wave away from its origin, and a T wave against it."""
    n = heart.n
    from_right = draws.flags(0.6)
    direction = np.stack([
        np.where(from_right, 0.55, -0.45) + 0.35 * draws.normal(),
        0.25 + 0.7 * draws.normal(),
        np.where(from_right, 0.75, -0.65) + 0.35 * draws.normal(),
    ], axis=1)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    size = 1.25 * np.exp(0.25 * draws.normal())
    heights = np.array([0.30, 0.75, 0.95, 0.55, 0.20])
    turn = np.cumsum(0.22 * draws.normal(5, 3), axis=1)
    qrs = np.empty((n, 5, 5))
    qrs[..., 0] = np.array([0.16, 0.33, 0.50, 0.68, 0.84]) + 0.02 * draws.normal(5)
    qrs[..., 1] = np.array([0.065, 0.095, 0.105, 0.095, 0.065])
    qrs[..., 2:] = (size[:, None] * heights)[..., None] * (direction[:, None] + turn)
    set_loops(heart.qrs, np.ones(n, dtype=bool), VENTRICULAR, qrs)
    heart.qrs_duration[:, VENTRICULAR] = np.clip(0.148 + 0.014 * draws.normal(), 0.122, 0.19)
    heart.qtc[:, VENTRICULAR] += heart.qrs_duration[:, VENTRICULAR] - heart.qrs_duration[:, CONDUCTED]
    heart.t[:, VENTRICULAR] = discordant_t(draws, heart.qrs[:, VENTRICULAR], 0.30)


def discordant_t(draws: Draws, qrs: np.ndarray, ratio: float) -> np.ndarray:
    """ST segment and T wave (n, components, 5) that point against a wide QRS complex.

    Args:
        draws: where variation comes from.
        qrs: loops of the QRS complexes (n, components, 5).
        ratio: height of the T wave relative to the QRS complex.
    """
    t = np.broadcast_to(loops.T_NORMAL, (draws.n, *loops.T_NORMAL.shape)).copy()
    net = loops.net_vector(qrs)
    height = np.linalg.norm(qrs[..., 2:], axis=-1).max(axis=1)
    opposite = -net / np.linalg.norm(net, axis=1, keepdims=True) + 0.15 * draws.normal(3)
    size = ratio * height * np.exp(0.2 * draws.normal())
    shares = np.array([0.35, 0.55, 0.80])
    t[..., 2:] = (size[:, None] * shares)[..., None] * opposite[:, None]
    return t
