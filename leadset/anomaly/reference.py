"""What normal recordings score: the one place that knows what is usual.

Single numbers are compared with their quantiles in normal recordings. All features together have a distance: that of
Mahalanobis, after each was centred and scaled by quantiles, with the covariance of Ledoit and Wolf (2004), which can be
inverted with fewer recordings than features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from leadset.anomaly.features import feature_names
from leadset.anomaly.scores import MAPS, PARTS, RANKS, AnomalyScore

QUANTILES = np.linspace(0, 1, 101)
# Samples whose error is above this share of those of normal recordings are "high".
_HIGH = 0.99
# Quantiles half of whose distance is the spread: one standard deviation to either side, had they a normal distribution.
_SPREAD = (0.159, 0.841)
# Spreads below this are those of features that hardly vary; beyond this many spreads a feature is odd, however far.
_LEAST_SPREAD, _FARTHEST = 1e-3, 10.0


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
        # One recording has no covariance, and several equal ones none that could be inverted.
        varies = len(features) > 1 and scaled.std(axis=0).any()
        covariance = ledoit_wolf(scaled)[0] if varies else np.eye(features.shape[1])
        return cls(centre, spread, scaled.mean(axis=0), np.linalg.inv(covariance))

    def distance(self, features: np.ndarray) -> float:
        """Distance of features (d,) from the mean; about 1 for recordings like those of the fit."""
        off = _scaled(features, self.centre, self.spread) - self.mean
        return float(np.sqrt(max(off @ self.precision @ off, 0) / len(off)))


def _scaled(features: np.ndarray, centre: np.ndarray, spread: np.ndarray) -> np.ndarray:
    return np.clip((features - centre) / spread, -_FARTHEST, _FARTHEST)


@dataclass(frozen=True)
class Reference:
    """Scores of normal recordings the network was not trained on.

    Attributes:
        quantiles: of what recordings are ranked by and of each part, 101 values from the smallest to the largest.
        high: 99th percentile of ``map`` and of ``deviation`` in each lead (l,).
        gaussian: of the features.
        n: number of these recordings.
        part: what they are.
    """

    quantiles: dict[str, np.ndarray]
    high: dict[str, np.ndarray]
    gaussian: Gaussian
    n: int
    part: str

    @classmethod
    def of(cls, scores: Sequence[AnomalyScore], part: str) -> Reference:
        """The reference that these scores make."""
        columns = {name: [getattr(s, name) for s in scores] for name in RANKS}
        columns |= {p: [s.parts[p] for s in scores] for p in PARTS}
        quantiles = {name: np.quantile(values, QUANTILES) for name, values in columns.items()}
        maps = {name: np.concatenate([getattr(s, name) for s in scores], axis=1) for name in MAPS}
        high = {name: np.nanquantile(values, _HIGH, axis=1) for name, values in maps.items()}
        return cls(quantiles, high, Gaussian.fit(np.stack([s.features for s in scores])), len(scores), part)

    def percentile(self, name: str, value: float) -> float:
        """Share of the normal recordings, 0 to 100, that ``value`` is above."""
        return 100 * float(np.interp(value, self.quantiles[name], QUANTILES))

    def surprise(self, found: AnomalyScore) -> float:
        """How unlike normal recordings all features together are, see `Gaussian.distance`."""
        return self.gaussian.distance(found.features)

    def arrays(self) -> dict[str, np.ndarray]:
        """All numbers by name."""
        return {
            **{f"quantiles.{name}": values for name, values in self.quantiles.items()},
            **{f"high.{name}": values for name, values in self.high.items()},
            **{f"gaussian.{field.name}": getattr(self.gaussian, field.name) for field in fields(Gaussian)},
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], n: int, part: str, leads: Sequence[str]) -> Reference:
        """The inverse of `arrays`.

        Raises:
            ValueError: a name or a shape that does not fit the lead set, or a value that is not finite.
        """
        d = len(feature_names(leads))
        shapes = {f"quantiles.{name}": QUANTILES.shape for name in (*RANKS, *PARTS)}
        shapes |= {f"high.{name}": (len(leads),) for name in MAPS}
        shapes |= {f"gaussian.{name}": (d,) for name in ("centre", "spread", "mean")} | {"gaussian.precision": (d, d)}
        if arrays.keys() != shapes.keys():
            raise ValueError(f"expected {', '.join(shapes)}")
        for name, shape in shapes.items():
            if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
                raise ValueError(f"{name}: expected finite numbers of shape {shape}")

        def those(group: str) -> dict[str, np.ndarray]:
            return {name.partition(".")[2]: values for name, values in arrays.items() if name.startswith(f"{group}.")}

        return cls(those("quantiles"), those("high"), Gaussian(**those("gaussian")), int(n), str(part))
