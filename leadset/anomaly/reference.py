"""What normal recordings score: the one place that knows what is usual.

Single numbers are compared with their quantiles in normal recordings. Features have a distance in groups, so that a
hundred of one kind do not outvote the five of the rhythm: that of Mahalanobis, after each was centred and scaled by
quantiles, with the covariance of Ledoit and Wolf (2004), which can be inverted with fewer recordings than features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from leadset.anomaly.features import feature_group, feature_names
from leadset.anomaly.scores import MAPS, PARTS, RANKS, AnomalyScore

QUANTILES = np.linspace(0, 1, 101)
# Samples whose error is above this share of those of normal recordings are "high".
_HIGH = 0.99
# Quantiles half of whose distance is the spread: one standard deviation to either side, had they a normal distribution.
_SPREAD = (0.159, 0.841)
# Spreads below this are those of features that hardly vary; beyond this many spreads a feature is odd, however far.
_LEAST_SPREAD, _FARTHEST = 1e-3, 10.0
# Added to all variances, so that two recordings can be inverted too.
_RIDGE = 1e-6
# Parts of the normal recordings, each of which is left out once to learn what those left out score.
_PARTS = 5
# Of logarithms of distances: what is added to the distance, and the least standard deviation.
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


@dataclass(frozen=True)
class Group:
    """A model of some of the features.

    Attributes:
        columns: (d,) which.
        gaussian: of these.
        usual: mean and standard deviation (2,) of the logarithm of the distance in recordings left out of the model.
    """

    columns: np.ndarray
    gaussian: Gaussian
    usual: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, columns: np.ndarray) -> Group:
        """The model of these columns of features (n, all)."""
        features = features[:, columns]
        part = np.arange(len(features)) % _PARTS
        left_out = [
            cls._log_distance(Gaussian.fit(features[part != k]), row)
            for k in range(min(_PARTS, len(features))) if len(features) > 1 for row in features[part == k]
        ]  # fmt: skip
        usual = [np.mean(left_out), max(np.std(left_out), _LEAST_SD)] if left_out else [0.0, 1.0]
        return cls(columns, Gaussian.fit(features), np.array(usual))

    @staticmethod
    def _log_distance(gaussian: Gaussian, features: np.ndarray) -> float:
        return float(np.log(gaussian.distance(features) + _TINY))

    def excess(self, features: np.ndarray) -> float:
        """Standard deviations by which features (all,) are farther than those of normal recordings; at least 0."""
        centre, sd = self.usual
        return max((self._log_distance(self.gaussian, features[self.columns]) - centre) / sd, 0.0)


def fit_groups(features: np.ndarray, names: Sequence[str]) -> dict[str, Group]:
    """Models of features (n, d), n ≥ 1, with these names, one for each of their groups."""
    groups = np.array([feature_group(name) for name in names])
    return {name: Group.fit(features, np.flatnonzero(groups == name)) for name in np.unique(groups)}


def total_excess(groups: dict[str, Group], features: np.ndarray) -> float:
    """Root of the sum of the squared excesses of all groups."""
    return float(np.sqrt(sum(group.excess(features) ** 2 for group in groups.values())))


@dataclass(frozen=True)
class Reference:
    """Scores of normal recordings the network was not trained on.

    Attributes:
        quantiles: of what recordings are ranked by and of each part, 101 values from the smallest to the largest.
        high: 99th percentile of ``map`` and of ``deviation`` in each lead (l,).
        groups: of the features.
        n: number of these recordings.
        part: what they are.
    """

    quantiles: dict[str, np.ndarray]
    high: dict[str, np.ndarray]
    groups: dict[str, Group]
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
        groups = fit_groups(np.stack([s.features for s in scores]), feature_names(leads))
        return cls(quantiles, high, groups, len(scores), part)

    def percentile(self, name: str, value: float) -> float:
        """Share of the normal recordings, 0 to 100, that ``value`` is above."""
        return 100 * float(np.interp(value, self.quantiles[name], QUANTILES))

    def surprise(self, found: AnomalyScore) -> float:
        """How unlike normal recordings the features are, see `total_excess`."""
        return total_excess(self.groups, found.features)

    def arrays(self) -> dict[str, np.ndarray]:
        """All numbers by name."""
        return {
            **{f"quantiles.{name}": values for name, values in self.quantiles.items()},
            **{f"high.{name}": values for name, values in self.high.items()},
            **{f"usual.{name}": group.usual for name, group in self.groups.items()},
            **{
                f"{field.name}.{name}": getattr(group.gaussian, field.name)
                for name, group in self.groups.items() for field in fields(Gaussian)
            },
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], n: int, part: str, leads: Sequence[str]) -> Reference:
        """The inverse of `arrays`.

        Raises:
            ValueError: a name or a shape that does not fit the lead set, or a value that is not finite.
        """
        of_feature = np.array([feature_group(name) for name in feature_names(leads)])
        columns = {str(name): np.flatnonzero(of_feature == name) for name in np.unique(of_feature)}
        shapes = {f"quantiles.{name}": QUANTILES.shape for name in (*RANKS, *PARTS)}
        shapes |= {f"high.{name}": (len(leads),) for name in MAPS}
        for group, those in columns.items():
            d = len(those)
            shapes |= {f"{name}.{group}": (d,) for name in ("centre", "spread", "mean")}
            shapes |= {f"precision.{group}": (d, d), f"usual.{group}": (2,)}
        if arrays.keys() != shapes.keys():
            raise ValueError(f"expected {', '.join(shapes)}")
        for name, shape in shapes.items():
            if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
                raise ValueError(f"{name}: expected finite numbers of shape {shape}")

        def those(group: str) -> dict[str, np.ndarray]:
            return {name.partition(".")[2]: values for name, values in arrays.items() if name.startswith(f"{group}.")}

        numbers = {field.name: those(field.name) for field in fields(Gaussian)}
        usual = those("usual")
        groups = {
            group: Group(which, Gaussian(*(values[group] for values in numbers.values())), usual[group])
            for group, which in columns.items()
        }
        return cls(those("quantiles"), those("high"), groups, int(n), str(part))
