"""Other training sets: smaller, larger, without a class, with other shares of classes, with random labels."""

from __future__ import annotations

from collections import Counter

import numpy as np

from leadset.stress.bench import Bench, mean_auroc
from leadset.stress.recordings import HeaderText, codes_of, copy_recording
from leadset.stress.registry import FailedCheck, SkippedCheck, register_check

_SEED = 1
# What the base model must have learnt for random labels to show anything.
_LEARNT = 0.65
# Random orders of which the one is taken whose labels say least of the true ones: few recordings may agree by chance.
_ORDERS = 200
# Orders of the test labels that say what chance is, and its quantile that is still called so.
_PERMUTATIONS, _QUANTILE = 500, 0.99


@register_check("few_recordings", "trains on 15 % of the recordings")
def few_recordings(bench: Bench) -> str:
    """Drawn at random."""
    n = max(2, round(0.15 * len(bench.training)))
    chosen = np.random.default_rng(_SEED).choice(len(bench.training), n, replace=False)
    folder = bench.folder_of("few_recordings", [bench.training[i] for i in sorted(chosen)])
    bench.answer(bench.train(folder, "few_recordings"), bench.few_folder, "few_recordings")
    return f"{n} recordings"


@register_check("many_recordings", "trains on 150 % of the recordings: half of them come twice, under two names")
def many_recordings(bench: Bench) -> str:
    """As a sample with replacement has them."""
    folder = bench.folder_of("many_recordings", bench.training)
    again = bench.training[::2]
    for path in again:
        copy_recording(path, folder, f"{path.stem}again")
    bench.answer(bench.train(folder, "many_recordings"), bench.few_folder, "many_recordings")
    return f"{len(bench.training) + len(again)} recordings"


@register_check("class_removed", "trains without any recording of a common class, and answers recordings of it")
def class_removed(bench: Bench) -> str:
    """The second most frequent diagnosis."""
    codes = codes_of(bench.training)
    ranked = Counter(code for of_one in codes for code in set(of_one)).most_common()
    removed = ranked[min(1, len(ranked) - 1)][0]
    kept = [path for path, of_one in zip(bench.training, codes, strict=True) if removed not in of_one]
    if not kept:
        raise SkippedCheck(f"all recordings have the diagnosis {removed}")
    model = bench.train(bench.folder_of("class_removed", kept), "class_removed")
    bench.answer(model, bench.few_folder, "class_removed")
    return f"without {len(bench.training) - len(kept)} recordings of {removed}"


@register_check("prevalence", "trains where the commonest class makes up most of the recordings")
def prevalence(bench: Bench) -> str:
    """All recordings of the commonest diagnosis, and one in five of the others."""
    codes = codes_of(bench.training)
    commonest = Counter(code for of_one in codes for code in set(of_one)).most_common(1)[0][0]
    having = [path for path, of_one in zip(bench.training, codes, strict=True) if commonest in of_one]
    others = [path for path in bench.training if path not in set(having)][::5]
    model = bench.train(bench.folder_of("prevalence", [*having, *others]), "prevalence")
    bench.answer(model, bench.few_folder, "prevalence")
    return f"{len(having)} of {len(having) + len(others)} recordings have {commonest}"


@register_check("random_labels", "scores by chance after learning random labels: what it knows comes from the data")
def random_labels(bench: Bench) -> str:
    """The diagnoses of the training recordings change places.

    Chance is what the answers score against permuted test labels, or halfway from 0.5 to what the base model scores:
    recordings of a class resemble each other, so that few labels score beyond a permutation's chance now and then.
    """
    labels, scalars = bench.ranking(bench.base_outputs)
    learnt = mean_auroc(labels, scalars)
    if not learnt >= _LEARNT:
        raise SkippedCheck(f"base learnt too little to compare: mean AUROC {learnt:.3f}, expected {_LEARNT} at least")
    folder = bench.work / "random_labels"
    for path, other in zip(bench.training, _unrelated(codes_of(bench.training)), strict=True):
        diagnoses = HeaderText.read(bench.training[other]).comment("Dx")
        copy_recording(path, folder, alter=lambda header, dx=diagnoses: header.with_comment("Dx", dx))
    outputs = bench.answer(bench.train(folder, "random_labels"), bench.test_folder, "random_labels")
    labels, scalars = bench.ranking(outputs)
    found, rng = mean_auroc(labels, scalars), np.random.default_rng(_SEED)
    chance = [mean_auroc(rng.permutation(labels), scalars) for _ in range(_PERMUTATIONS)]
    highest = max(float(np.quantile(chance, _QUANTILE)), (0.5 + learnt) / 2)
    remark = f"mean AUROC {found:.3f} after {learnt:.3f}, by chance up to {highest:.3f}"
    if found > highest:
        raise FailedCheck(remark)
    return remark


def _unrelated(codes: list[list[str]]) -> np.ndarray:
    """The order (n,), out of `_ORDERS`, in which labels are least related to those of the recordings that get them."""
    names = sorted({code for of_one in codes for code in of_one})
    labels = np.array([[name in of_one for name in names] for of_one in codes], dtype=float)
    labels -= labels.mean(axis=0)
    rng = np.random.default_rng(_SEED)
    orders = [rng.permutation(len(codes)) for _ in range(_ORDERS)]
    return min(orders, key=lambda order: float(np.square(labels.T @ labels[order]).sum()))
