"""Protocols: disjoint parts, no patient on both sides, sources and classes spread, bad cohorts refused."""

from __future__ import annotations

import numpy as np
import pytest

from leadset.studies.protocols import PROTOCOLS, Cohort, create_protocol

CHOICES = {"folds": 5, "share": 0.2, "seed": 1, "test": (), "valid": ()}


def cohort(n: int = 300, seed: int = 0, **changes: object) -> Cohort:
    """Recordings of three sources, every third patient with several, in four official folds."""
    rng = np.random.default_rng(seed)
    labels = rng.random((n, 6)) < np.geomspace(0.03, 0.4, 6)
    groups = np.sort(rng.integers(0, n // 2, n))
    values = {
        "paths": tuple(f"r{i}" for i in range(n)),
        "codes": ((),) * n,
        "labels": labels,
        "targets": labels.astype(np.float32),
        "sources": np.array(["a", "b", "c"])[rng.integers(0, 3, n)],
        "groups": groups,
        "folds": np.array(["1", "2", "10", "9"])[rng.integers(0, 4, n)],
    }
    return Cohort(**(values | changes))


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_no_patient_is_on_both_sides_and_every_recording_is_accounted_for(name):
    whole = cohort()
    for fold in create_protocol(name, **CHOICES).divide(whole):
        assert sorted([*fold.train, *fold.test, *fold.related]) == list(range(len(whole)))
        assert not set(whole.groups[fold.train]) & set(whole.groups[fold.test])
        assert set(whole.groups[fold.related]) <= set(whole.groups[fold.test])


def test_k_fold_tests_on_each_recording_once_and_spreads_classes_and_sources():
    whole = cohort(2000)
    folds = create_protocol("kfold", **CHOICES).divide(whole)
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(2000))
    assert not any(len(fold.related) for fold in folds)
    for values in (whole.labels[:, 0], whole.sources == "a"):
        shares = [values[fold.test].mean() for fold in folds]
        assert max(shares) - min(shares) < 0.02


def test_one_source_is_left_out_and_its_copies_elsewhere_are_not_learnt_from():
    sources = np.array(["a"] * 5 + ["b"] * 5)
    groups = np.array([0, 1, 2, 3, 4, 0, 6, 7, 8, 9])
    first, second = create_protocol("lodo", **CHOICES).divide(cohort(10, sources=sources, groups=groups))
    assert (first.name, first.test.tolist(), first.related.tolist()) == ("a", [0, 1, 2, 3, 4], [5])
    assert (second.name, second.train.tolist(), second.related.tolist()) == ("b", [1, 2, 3, 4], [0])


def test_official_folds_are_those_of_the_data_set_or_the_one_that_is_named():
    whole = cohort(groups=np.arange(300))
    folds = create_protocol("official", **CHOICES).divide(whole)
    assert [fold.name for fold in folds] == ["1", "2", "9", "10"]
    (only,) = create_protocol("official", **{**CHOICES, "test": ("9",)}).divide(whole)
    assert (only.test == np.flatnonzero(whole.folds == "9")).all()
    assert not len(only.valid)
    (both,) = create_protocol("official", **{**CHOICES, "test": ("10",), "valid": ("9",)}).divide(whole)
    assert (both.valid == np.flatnonzero(whole.folds == "9")).all()
    assert set(both.valid) <= set(both.train)


def test_a_hold_out_is_of_the_size_asked_for_and_follows_the_seed():
    whole = cohort(1000, groups=np.arange(1000))
    (one,), (other,) = (create_protocol("holdout", **{**CHOICES, "seed": seed}).divide(whole) for seed in (1, 2))
    assert abs(len(one.test) - 200) <= 2
    assert set(one.test) != set(other.test)
    assert (one.test == create_protocol("holdout", **CHOICES).divide(whole)[0].test).all()


@pytest.mark.parametrize(
    ("name", "changes", "choices", "message"),
    [
        ("lodo", {"sources": np.array(["a"] * 300)}, {}, "the one source a, expected two"),
        ("official", {"folds": np.array([""] * 300)}, {}, "found 0 official folds"),
        ("official", {}, {"test": ("9",), "valid": ("9",)}, "fold 9 for both validation and test"),
        ("official", {}, {"test": ("7",)}, "no official fold '7', expected one of 1, 2, 9, 10"),
        ("kfold", {"groups": np.repeat([0, 1, 2], 100)}, {}, "5 folds, expected 2 to 3"),
        ("lodo", {"groups": np.zeros(300, dtype=int)}, {}, "every one is of a patient that is tested on"),
        ("weekly", {}, {}, "no protocol 'weekly', expected one of"),
    ],
)
def test_a_cohort_that_cannot_be_divided_is_refused(name, changes, choices, message):
    with pytest.raises(ValueError, match=message):
        create_protocol(name, **{**CHOICES, **choices}).divide(cohort(**changes))
