"""Extra inputs by name: what the registry supplies, what it refuses, and what classifiers do with age and sex."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from networks import REDUCED
from torch import nn

from leadset.leads import LEAD_SETS
from leadset.models import create_model, list_models
from leadset.models.extra_inputs import (
    RecordingContext,
    check_extra_inputs,
    delineations,
    extra_inputs,
    extra_shapes,
    missing_inputs,
)
from leadset.preprocess import InputSpec, Transform
from leadset.recordings import Recording
from leadset.store import packed
from leadset.training.data import Contexts
from leadset.training.steps.batches import StepBatches
from leadset.training.steps.curriculum import Curriculum, Phase, Pool
from leadset.waves.beats import Beats

BEATS = Beats(np.array([3.0], np.float32), np.ones((2, 1, 30), np.float32), np.arange(51, dtype=np.float32))
AGE_SEX = InputSpec(extra={"age": True, "sex": True})


def test_a_model_gets_what_it_names():
    context = RecordingContext(40.0, "female", {False: BEATS})
    assert extra_inputs(context, 0, InputSpec(), 2) == {}
    spec = InputSpec(extra={"beats": 2, "record": True, "age": True, "sex": True})
    given = extra_inputs(context, 0, spec, 2)
    assert {name: values.shape for name, values in given.items()} == extra_shapes(spec, 2)
    assert extra_shapes(spec, 2) == {"beats": (60, 2), "record": (51,), "age": (2,), "sex": (2,)}
    assert np.isfinite(given["beats"][:, 0]).all() and np.isnan(given["beats"][:, 1]).all()
    (record,) = extra_inputs(context, 4000, InputSpec(extra={"record": True}), 2).values()
    np.testing.assert_array_equal(record, BEATS.record)
    np.testing.assert_array_equal(given["age"], np.float32([0.4, 1]))
    np.testing.assert_array_equal(given["sex"], [1, 1])


@pytest.mark.parametrize("age", [None, float("nan"), float("inf")])
@pytest.mark.parametrize("sex", [None, "", "unknown"])
def test_unknown_age_and_sex_are_flagged(age, sex):
    given = extra_inputs(RecordingContext(age, sex), 0, AGE_SEX, 2)
    absent = missing_inputs(AGE_SEX, 2, 1)
    for name in ("age", "sex"):
        np.testing.assert_array_equal(given[name], [0, 0])
        np.testing.assert_array_equal(given[name], absent[name][0])
    male = extra_inputs(RecordingContext(0.0, "male"), 0, AGE_SEX, 2)
    np.testing.assert_array_equal(np.stack([male["age"], male["sex"]]), [[0, 1], [0, 1]])  # known, and not missing


def test_which_beats_are_needed_is_known():
    assert delineations(AGE_SEX) == set()
    assert delineations(InputSpec(extra={"beats": 3, "record": True})) == {False}
    assert delineations(create_model("cross_restoration", 2).input_spec) == {True}


@pytest.mark.parametrize(
    ("extra", "rate", "expected"),
    [
        ({"shoe_size": True}, 500, "one of beats, record, reliable_beats, age, sex"),
        ({"beats": True}, 500, "a number from 1"),
        ({"beats": 0}, 500, "a number from 1"),
        ({"age": 3}, 500, "true"),
        ({"beats": 3}, 20, "Hz or more"),
        ({"reliable_beats": True}, 20, "Hz or more"),
    ],
)
def test_what_cannot_be_supplied_is_refused(extra, rate, expected):
    with pytest.raises(ValueError, match=expected):
        check_extra_inputs(InputSpec(Transform(rate), extra=extra))


def test_input_goes_through_json_and_that_of_earlier_entries_is_read():
    spec = InputSpec(Transform(250), 2500, "recording", extra={"beats": 40, "record": True})
    assert InputSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    plain = {key: value for key, value in spec.to_json().items() if key != "extra"}
    assert InputSpec.from_json(plain | {"beats": 40, "record": True, "reliable_beats": False}) == spec
    assert InputSpec.from_json(plain | {"beats": 0, "record": False, "reliable_beats": False}).extra == {}
    assert InputSpec.from_json(plain | {"reliable_beats": True}).extra == {"reliable_beats": True}


# --- age and sex beside any classifier -------------------------------------------------------------------------------


def with_age_and_sex(name: str) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, 2, 5, extra=["age", "sex"], **REDUCED[name])


@pytest.mark.parametrize("name", list_models("classifier"))
def test_any_classifier_learns_from_age_and_sex(name):
    """The network is without them what it is with them before training; a step of training makes age and sex count."""
    model = with_age_and_sex(name).eval()
    torch.manual_seed(0)
    plain = create_model(name, 2, 5, **REDUCED[name]).eval()
    assert model.input_spec.extra == plain.input_spec.extra | {"age": True, "sex": True}
    x = torch.randn(4, 2, model.input_spec.samples)
    known = {"age": torch.tensor([[0.6, 1.0]]).repeat(4, 1), "sex": torch.tensor([[1.0, 1.0]]).repeat(4, 1)}
    unknown = {"age": torch.zeros(4, 2), "sex": torch.zeros(4, 2)}
    with torch.no_grad():
        assert torch.equal(model(x, **known), plain(x))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    nn.functional.binary_cross_entropy_with_logits(model(x, **known), torch.ones(4, 5)).backward()
    optimizer.step()
    with torch.no_grad():
        older = known | {"age": known["age"] + torch.tensor([0.2, 0.0])}
        assert not torch.allclose(model(x, **older), model(x, **known))
        assert torch.equal(model(x), model(x, **unknown)), "left out is unknown"
        assert torch.equal(model(x, **unknown), model.model(x)), "unknown adds nothing"
        newborn = known | {"age": torch.tensor([[0.0, 1.0]]).repeat(4, 1)}
        assert not torch.allclose(model(x, **newborn), model(x, **(known | {"age": unknown["age"]})))


@pytest.mark.parametrize("extra", [[], ["beats"], ["age", "age"], "age", ["shoe_size"]])
def test_other_extra_inputs_of_a_term_are_refused(extra):
    with pytest.raises(ValueError, match="expected some of age, sex"):
        create_model("resnet34", 2, extra=extra)


def test_a_network_that_is_no_classifier_has_no_such_term():
    with pytest.raises(TypeError, match="extra"):
        create_model("cross_restoration", 2, extra=["age"])


def test_batches_hold_age_and_sex_of_their_recordings(tmp_path):
    rng = np.random.default_rng(0)
    subjects = [(None, "male"), (63.0, None), (17.5, "female"), (80.0, "male")]
    paths = [tmp_path / "data" / f"{i}.hea" for i in range(len(subjects))]
    (tmp_path / "data").mkdir()
    for path in paths:
        path.write_text("")

    def read(path):
        age, sex = subjects[int(path.stem)]
        return Recording(rng.normal(size=(2, 2000)).astype(np.float32), 500, LEAD_SETS[2], path.stem, age=age, sex=sex)

    store = packed.build_chunks(
        [(tmp_path / "chunk.i16", paths)],
        lambda file, part, transform: packed.ensure_chunk(file, part, transform, read),
        Transform(),
        1,
    )
    curriculum = Curriculum((Phase("real", Pool(np.arange(4)), 1, 1e-3),))
    contexts = Contexts(store.recordings, {})
    batches = StepBatches(
        store, curriculum, np.zeros((4, 1)), leads=LEAD_SETS[2], spec=AGE_SEX, batch_size=4, seed=0, contexts=contexts
    )
    members = batches._members(0)
    age, sex = (batches[0].extra[name].numpy() for name in ("age", "sex"))
    expected = {0: (0, 0, 0, 1), 1: (0.63, 1, 0, 0), 2: (0.175, 1, 1, 1), 3: (0.8, 1, 0, 1)}
    for member, *given in zip(members, age, sex, strict=True):
        np.testing.assert_array_equal(np.concatenate(given), np.float32(expected[int(member)]))
