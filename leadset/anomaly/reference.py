"""What normal recordings score: the baseline that others are compared with.

Single numbers are compared with their quantiles in normal recordings. Features have a distance in groups, so that a
hundred of one kind do not outvote the five of the rhythm: that of Mahalanobis, after each was centred and scaled by
quantiles, with the covariance of Ledoit and Wolf (2004), which can be inverted with fewer recordings than features.
Groups that answer one question are a family. Within it excesses add up; of the families the one that deviates most
counts, so that none drowns what another shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from leadset.anomaly.features import FAMILIES, feature_group, feature_names
from leadset.anomaly.score import MAPS, PARTS, RANKS, AnomalyScore

QUANTILES = np.linspace(0, 1, 101)
# Samples whose error is above this share of those of normal recordings are "high".
_HIGH = 0.99
# Quantiles half of whose distance is the spread: one standard deviation to either side, had they a normal distribution.
_SPREAD = (0.159, 0.841)
# Spreads below this are those of features that hardly vary; beyond this many spreads it does not matter how far.
_LEAST_SPREAD, _FARTHEST = 1e-3, 10.0
# Added to all variances, so that two recordings can be inverted too.
_RIDGE = 1e-6
# Parts of the normal recordings, each of which is left out once to learn what those left out score.
_PARTS = 10
# What is added to distances before their logarithm is taken; the least standard deviation of anything.
_TINY, _LEAST_SD = 1e-6, 0.02


@dataclass(frozen=True)
class Gaussian:
    """A model of feature vectors.

    Attributes:
        centre, spread: (d,) of each feature.
        mean: (d,) of the centred and scaled features.
        precision: (d, d) inverse of their covariance.
    """

    centre: np.ndarray
    spread: np.ndarray
    mean: np.ndarray
    precision: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray) -> Gaussian:
        """The model of features (n, d), n ≥ 1."""
        from sklearn.covariance import ledoit_wolf

        low, centre, high = np.quantile(features, [_SPREAD[0], 0.5, _SPREAD[1]], axis=0)
        spread = np.maximum((high - low) / 2, _LEAST_SPREAD)
        scaled = _scaled(features, centre, spread)
        # One recording has no covariance, and equal ones none that could be inverted.
        varies = len(features) > 1 and scaled.std(axis=0).any()
        identity = np.eye(features.shape[1])
        covariance = ledoit_wolf(scaled)[0] + _RIDGE * identity if varies else identity
        return cls(centre, spread, scaled.mean(axis=0), np.linalg.inv(covariance))

    def distance(self, features: np.ndarray) -> float:
        """Distance of features (d,) from the mean; about 1 for recordings like those of the fit."""
        off = _scaled(features, self.centre, self.spread) - self.mean
        return float(np.sqrt(max(off @ self.precision @ off, 0) / len(off)))


def _scaled(features: np.ndarray, centre: np.ndarray, spread: np.ndarray) -> np.ndarray:
    return np.clip((features - centre) / spread, -_FARTHEST, _FARTHEST)


def _baseline(left_out: np.ndarray) -> np.ndarray:
    """Mean and standard deviation (2,) of what normal recordings gave that were left out of the fit."""
    return np.array([left_out.mean(), max(left_out.std(), _LEAST_SD)]) if len(left_out) else np.array([0.0, 1.0])


@dataclass(frozen=True)
class Group:
    """A model of some of the features.

    Attributes:
        columns: (d,) which.
        gaussian: of these.
        baseline: mean and standard deviation (2,) of the logarithm of the distance in recordings left out of the model.
    """

    columns: np.ndarray
    gaussian: Gaussian
    baseline: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, columns: np.ndarray) -> tuple[Group, np.ndarray]:
        """The model of these columns of features (n, all), and the excess (n,) of each row where it was left out.

        A single row cannot be left out: then there is no excess (0,).
        """
        features = features[:, columns]
        part = np.arange(len(features)) % _PARTS
        distances = np.zeros(len(features) if len(features) > 1 else 0)
        for k in np.unique(part[: len(distances)]):
            without = Gaussian.fit(features[part != k])
            distances[part == k] = [_log_distance(without, row) for row in features[part == k]]
        group = cls(columns, Gaussian.fit(features), _baseline(distances))
        return group, group._excess_of(distances)

    def _excess_of(self, log_distance: np.ndarray | float) -> np.ndarray:
        centre, sd = self.baseline
        return np.maximum((log_distance - centre) / sd, 0.0)

    def excess(self, features: np.ndarray) -> float:
        """Standard deviations by which features (all,) are farther than those of normal recordings; at least 0."""
        return float(self._excess_of(_log_distance(self.gaussian, features[self.columns])))


def _log_distance(gaussian: Gaussian, features: np.ndarray) -> float:
    return float(np.log(gaussian.distance(features) + _TINY))


@dataclass(frozen=True)
class Family:
    """Groups that answer one question.

    Attributes:
        groups: by name.
        baseline: mean and standard deviation (2,) of the root of the summed squared excesses in recordings left out.
    """

    groups: dict[str, Group]
    baseline: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, columns: dict[str, np.ndarray]) -> Family:
        """The models of the columns of each group of features (n, all)."""
        fitted = {name: Group.fit(features, those) for name, those in columns.items()}
        total = np.linalg.norm([excess for _, excess in fitted.values()], axis=0)
        return cls({name: group for name, (group, _) in fitted.items()}, _baseline(total))

    def deviation(self, features: np.ndarray) -> float:
        """Standard deviations by which the excesses of features (all,) exceed those of normal recordings."""
        centre, sd = self.baseline
        return float((np.linalg.norm([group.excess(features) for group in self.groups.values()]) - centre) / sd)


def family_columns(names: Sequence[str], only: Sequence[str] | None = None) -> dict[str, dict[str, np.ndarray]]:
    """Columns (d,) of each group of each family of features with these names; of some groups alone, if asked for."""
    of_feature = np.array([feature_group(name) for name in names])
    chosen = {
        family: {group: np.flatnonzero(of_feature == group) for group in groups if only is None or group in only}
        for family, groups in FAMILIES.items()
    }
    return {family: groups for family, groups in chosen.items() if groups}


def fit_families(features: np.ndarray, names: Sequence[str], only: Sequence[str] | None = None) -> dict[str, Family]:
    """Models of features (n, d), n ≥ 1, with these names; of some groups alone, if asked for."""
    return {name: Family.fit(features, columns) for name, columns in family_columns(names, only).items()}


def largest_deviation(families: dict[str, Family], features: np.ndarray, asked: Iterable[str] = FAMILIES) -> float:
    """The deviation of the family by which features (d,) deviate most, out of those asked that there are."""
    return max(families[name].deviation(features) for name in asked if name in families)


@dataclass(frozen=True)
class Reference:
    """Scores of normal recordings the network was not trained on.

    Attributes:
        quantiles: of what recordings are ranked by and of each part, 101 values from the smallest to the largest.
        high: 99th percentile of ``map`` and of ``deviation`` in each lead (l,).
        families: of the features.
        n: number of these recordings.
        part: what they are.
    """

    quantiles: dict[str, np.ndarray]
    high: dict[str, np.ndarray]
    families: dict[str, Family]
    n: int
    part: str

    @classmethod
    def of(cls, scores: Sequence[AnomalyScore], part: str, leads: Sequence[str]) -> Reference:
        """The reference that these scores with a lead set make."""
        columns = {name: [getattr(s, name) for s in scores] for name in RANKS}
        columns |= {p: [s.parts[p] for s in scores] for p in PARTS}
        quantiles = {name: np.quantile(values, QUANTILES) for name, values in columns.items()}
        maps = {name: np.concatenate([getattr(s, name) for s in scores], axis=1) for name in MAPS}
        high = {name: np.nanquantile(values, _HIGH, axis=1) for name, values in maps.items()}
        families = fit_families(np.stack([s.features for s in scores]), feature_names(leads))
        return cls(quantiles, high, families, len(scores), part)

    def percentile(self, name: str, value: float) -> float:
        """Share of the normal recordings, 0 to 100, that ``value`` is above."""
        return 100 * float(np.interp(value, self.quantiles[name], QUANTILES))

    def deviations(self, score: AnomalyScore) -> dict[str, float]:
        """How unlike normal recordings the features of each family are, in standard deviations."""
        return {name: family.deviation(score.features) for name, family in self.families.items()}

    def arrays(self) -> dict[str, np.ndarray]:
        """All numbers by name."""
        groups = {name: group for family in self.families.values() for name, group in family.groups.items()}
        return {
            **{f"quantiles.{name}": values for name, values in self.quantiles.items()},
            **{f"high.{name}": values for name, values in self.high.items()},
            **{f"family.{name}": family.baseline for name, family in self.families.items()},
            **{f"baseline.{name}": group.baseline for name, group in groups.items()},
            **{
                f"{field.name}.{name}": getattr(group.gaussian, field.name)
                for name, group in groups.items() for field in fields(Gaussian)
            },
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], n: int, part: str, leads: Sequence[str]) -> Reference:
        """The inverse of `arrays`.

        Raises:
            ValueError: a name or a shape that does not fit the lead set, a value that is not finite, a spread that
                is not positive.
        """
        columns = family_columns(feature_names(leads))
        shapes = {f"quantiles.{name}": QUANTILES.shape for name in (*RANKS, *PARTS)}
        shapes |= {f"high.{name}": (len(leads),) for name in MAPS}
        shapes |= {f"family.{name}": (2,) for name in columns}
        for group, of_group in (item for groups in columns.values() for item in groups.items()):
            d = len(of_group)
            shapes |= {f"{name}.{group}": (d,) for name in ("centre", "spread", "mean")}
            shapes |= {f"precision.{group}": (d, d), f"baseline.{group}": (2,)}
        if arrays.keys() != shapes.keys():
            raise ValueError(f"expected {', '.join(shapes)}")
        for name, shape in shapes.items():
            if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
                raise ValueError(f"{name}: expected finite numbers of shape {shape}")
        # Of mean and standard deviation the second is a spread.
        for kind, first in {"spread": 0, "baseline": 1, "family": 1}.items():
            for name in shapes:
                if name.startswith(f"{kind}.") and not (arrays[name][first:] > 0).all():
                    raise ValueError(f"{name}: expected a spread above 0")

        def those(group: str) -> dict[str, np.ndarray]:
            return {name.partition(".")[2]: values for name, values in arrays.items() if name.startswith(f"{group}.")}

        numbers = [those(field.name) for field in fields(Gaussian)]
        baseline, of_family = those("baseline"), those("family")
        families = {
            family: Family(
                {name: Group(which, Gaussian(*(values[name] for values in numbers)), baseline[name])
                 for name, which in groups.items()},
                of_family[family],
            )
            for family, groups in columns.items()
        }  # fmt: skip
        return cls(those("quantiles"), those("high"), families, int(n), str(part))
