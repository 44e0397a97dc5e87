"""What the answers about many recordings rest on: shares by class, lead and wave, with intervals over recordings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from leadset.explain.explanation import ALL
from leadset.scoring.intervals import Interval, bootstrap

#: Columns of the table of a population; ``even`` is the share that an even map would have.
COLUMNS: tuple[str, ...] = (
    "class", "recordings", "lead", "wave", "share", "low", "high", "even", "attribution",
)  # fmt: skip
_RESAMPLED = 1000


@dataclass(frozen=True)
class ClassPopulation:
    """All explanations of one class, by `leadset.explain.report.plain_explanation`.

    Attributes:
        name: of the class. recordings: names. leads, waves: of the arrays.
        shares, sums: (n, l, waves) shares of the absolute attribution, and its sums in log odds.
        times: (n, waves) shares of the duration.
        amplitudes: (n, l, waves) in mV.
        extra: by feature (n,) attributions, 0 where a recording has none.
    """

    name: str
    recordings: tuple[str, ...]
    leads: tuple[str, ...]
    waves: tuple[str, ...]
    shares: np.ndarray
    sums: np.ndarray
    times: np.ndarray
    amplitudes: np.ndarray
    extra: dict[str, np.ndarray]

    def lead_shares(self) -> Interval:
        """(l,) mean share of each lead, with its 95 % interval over recordings."""
        return _mean(self.shares.sum(axis=2))

    def wave_shares(self) -> Interval:
        """(waves,) the same of each wave."""
        return _mean(self.shares.sum(axis=1))

    def region(self, leads: Iterable[str], waves: Iterable[str]) -> dict[str, Any]:
        """Row of the table for some waves of some leads together."""
        leads, waves = list(leads), list(waves)
        at = np.ix_([self.leads.index(lead) for lead in leads], [self.waves.index(wave) for wave in waves])
        shares = np.array([one[at].sum() for one in self.shares])
        even = self.times.mean(axis=0)[at[1]].sum() * len(leads) / len(self.leads)
        return {
            "class": self.name, "recordings": len(self.recordings), "wave": "+".join(waves),
            "lead": ALL if len(leads) == len(self.leads) else "+".join(leads), "even": f"{even:.3f}",
            "attribution": f"{np.mean([one[at].sum() for one in self.sums]):.3f}",
        } | _numbers(_mean(shares[:, None]), 0)  # fmt: skip

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows of the table: leads by falling share, then waves."""
        for i in np.argsort(-self.shares.sum(axis=2).mean(axis=0)):
            yield self.region([self.leads[i]], self.waves) | {"wave": ALL}
        for wave in self.waves:
            yield self.region(self.leads, [wave])

    def features(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By name the attributions (n,) and the amplitudes (n,) in mV of each wave of each lead; of extra inputs NaN.
        """
        found = {
            f"{lead} {wave}": (self.sums[:, i, j], self.amplitudes[:, i, j])
            for i, lead in enumerate(self.leads) for j, wave in enumerate(self.waves)
        }  # fmt: skip
        return found | {name: (values, np.full(len(values), np.nan)) for name, values in self.extra.items()}


def populations(explanations: Iterable[Mapping[str, Any]]) -> list[ClassPopulation]:
    """The classes of many explanations, those of most recordings first.

    Only explanations on the leads that most of them have are taken, as shares on other leads mean something else.
    """
    usable = [one for one in explanations if one.get("classes")]
    if not usable:
        return []
    counts: dict[tuple[str, ...], int] = {}
    for one in usable:
        counts[tuple(one["leads"])] = counts.get(tuple(one["leads"]), 0) + 1
    leads = max(counts, key=lambda key: (counts[key], len(key)))
    usable = [one for one in usable if tuple(one["leads"]) == leads]
    names = {name for one in usable for name in one["classes"]}
    found = [_population(name, [one for one in usable if name in one["classes"]]) for name in names]
    return sorted(found, key=lambda one: (-len(one.recordings), one.name))


def _population(name: str, explanations: list[Mapping[str, Any]]) -> ClassPopulation:
    of = [one["classes"][name] for one in explanations]
    features = sorted({feature for one in of for feature in one["extra"]})
    return ClassPopulation(
        name, tuple(one["recording"] for one in explanations), tuple(explanations[0]["leads"]),
        tuple(explanations[0]["waves"]), np.array([one["share"] for one in of], float),
        np.array([one["attribution"] for one in of], float),
        np.array([one["time_shares"] for one in explanations], float),
        np.array([one["rms_mv"] for one in explanations], float),
        {feature: np.array([one["extra"].get(feature, 0.0) for one in of]) for feature in features},
    )  # fmt: skip


def _mean(values: np.ndarray) -> Interval:
    return bootstrap(lambda counts: counts @ values / counts.sum(), len(values), n=_RESAMPLED)


def _numbers(found: Interval, i: int) -> dict[str, str]:
    return {"share": f"{found.value[i]:.3f}", "low": f"{found.low[i]:.3f}", "high": f"{found.high[i]:.3f}"}
