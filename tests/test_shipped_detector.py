"""The detector that ships: learned without some leads, cut to any of them, with references of simulated recordings."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from networks import REDUCED, settle

from leadset.anomaly.detector import TRANSFORM, Detector
from leadset.anomaly.losses import MaskedBatch, mean_recorded, normal_loss
from leadset.anomaly.metrics import detection_auc, localisation_auc
from leadset.anomaly.shipped import shipped_detector
from leadset.cli import main
from leadset.leads import LEAD_SETS, LEADS, resolve_leads
from leadset.models import create_model
from leadset.models.cross_restoration import trend_of
from leadset.models.lead_cut import cut_leads
from leadset.models.prediction import lead_rows
from leadset.preprocess import prepare
from leadset.simulate import simulate, simulate_anomalies
from leadset.simulate.write import write_dataset
from leadset.training.detector import all_r_peaks
from leadset.training.steps.curriculum import Curriculum, Phase, Pool
from leadset.training.steps.lead_dropout import draw_rows
from leadset.training.tasks.restoration_batches import MaskedBatches


def _network(leads=LEADS):
    torch.manual_seed(0)
    return create_model("cross_restoration", leads, **REDUCED["cross_restoration"])


def _inputs(leads, batch=3):
    generator = torch.Generator().manual_seed(1)
    record = torch.zeros(batch, 12, 4800)
    rows = lead_rows(leads)
    record[:, rows] = 2 * torch.rand(batch, len(rows), 4800, generator=generator) - 1
    return record, record[:, :, :480].clone(), rows


@pytest.mark.parametrize("leads", [6, 2, "I", "V2,V4"])
def test_cutting_equals_leaving_leads_out(leads):
    leads = resolve_leads(leads)
    record, beat, rows = _inputs(leads, 4)
    present = torch.zeros(4, 12, 1)
    present[:, rows] = 1
    whole = settle(_network(), record=record, beat=beat, trend=trend_of(record) * present)
    cut = _network(leads).eval()
    cut.load_state_dict(cut_leads(cut, whole.state_dict(), leads))
    with torch.no_grad():
        expected = whole(record, beat, trend_of(record) * present)
        found = cut(record[:, rows], beat[:, rows], trend_of(record[:, rows]))
    torch.testing.assert_close(found.record.signal, expected.record.signal[:, rows])
    torch.testing.assert_close(found.record.log_variance, expected.record.log_variance)
    torch.testing.assert_close(found.beat.signal, expected.beat.signal[:, rows])
    torch.testing.assert_close(found.trend, expected.trend[:, rows])
    assert expected.record.signal.std() > 1e-3


def test_missing_leads_are_no_part_of_the_loss():
    record, beat, rows = _inputs(("II", "V5"))
    hidden, present = torch.zeros(3, 4800, dtype=torch.bool), torch.zeros(3, 12, dtype=torch.bool)
    present[:, rows] = True
    whole, cut = _network().eval(), _network(("II", "V5")).eval()
    cut.load_state_dict(cut_leads(cut, whole.state_dict(), ("II", "V5")))
    some = MaskedBatch(record[:, rows], beat[:, rows], hidden, hidden[:, :480], None)
    all_ = MaskedBatch(record, beat, hidden, hidden[:, :480], None, present=present)
    torch.testing.assert_close(normal_loss(whole, all_), normal_loss(cut, some))
    values, recorded = torch.rand(3, 12, 8), torch.rand(3, 8) > 0.5
    expected = torch.stack([values[i, rows][:, recorded[i]].sum() for i in range(3)]).sum() / (2 * recorded.sum())
    torch.testing.assert_close(mean_recorded(values, recorded, present), expected)


def test_training_recordings_lose_leads():
    signals = simulate(8, 4, labels="NSR", marks=False).signals
    recordings = [(p.samples, p.statistics) for p in (prepare(s, 500, LEADS, TRANSFORM) for s in signals)]
    peaks = all_r_peaks(recordings, LEADS, range(8), workers=1)
    curriculum = Curriculum((Phase("normal", Pool(np.arange(8)), 4, 1e-3),))
    choices = {"leads": LEADS, "spec": _network().input_spec, "masking": "full", "batch_size": 8, "seed": 0}
    batches = MaskedBatches(recordings, peaks, curriculum, draw_rows=draw_rows, **choices)
    one, again = batches[1], batches[1]
    assert torch.equal(one.record, again.record) and torch.equal(one.present, again.present)
    assert torch.equal((one.record != 0).any(2), one.present) and torch.equal((one.beat != 0).any(2), one.present)
    assert 0 < one.present.all(1).sum() < 8
    assert MaskedBatches(recordings, peaks, curriculum, **choices)[1].present is None


def _recordings(signals):
    return [(p.samples, p.statistics) for p in (prepare(signal, 500, LEADS, TRANSFORM) for signal in signals)]


@pytest.mark.parametrize("leads", [12, 2])
def test_it_finds_and_localises_what_was_planted(leads):
    made = simulate_anomalies(24, 5150)
    normal = _recordings(simulate_anomalies(24, 5150, start=24).clean)
    detector = shipped_detector(LEAD_SETS[leads])
    assert detector.leads == LEAD_SETS[leads] and detector.known_reference.n >= 100
    scores = [detector.score_prepared(*one) for one in (*normal, *_recordings(made.signals))]
    abnormal = np.arange(48) >= 24
    assert detection_auc(abnormal, [detector.deviation_score(score) for score in scores]) > 0.85
    rows = lead_rows(detector.leads)
    there = [i for i in range(24) if made.masks[i][rows].any()]
    masks = [made.masks[i][rows] for i in there]
    assert localisation_auc(masks, [scores[24 + i].deviation for i in there]) > 0.8


def test_any_leads_are_scored_and_only_known_ones_compared():
    signal = simulate(1, 3, labels="NSR", marks=False).signals[0]
    alone = shipped_detector(("V1", "V2"))
    assert alone.leads == ("V1", "V2") and np.isfinite(alone.score(signal, 500, LEADS).score)
    with pytest.raises(ValueError, match="has no reference of normal recordings: there is none for these leads"):
        alone.deviation_score(alone.score(signal, 500, LEADS))
    assert shipped_detector(("II", "I")).leads == LEAD_SETS[2]
    assert shipped_detector(("II", "V5", "I")).leads == LEAD_SETS[6]
    assert shipped_detector(("I", "V3")).leads == ("I",)


def test_the_command_takes_it_in_the_place_of_a_folder(tmp_path, capsys):
    headers = list(write_dataset(tmp_path / "data", 3, seed=8, labels="NSR"))
    assert main(["anomaly", "score", "shipped", str(tmp_path / "data"), "-o", str(tmp_path / "scores.csv")]) == 0
    rows = list(csv.DictReader((tmp_path / "scores.csv").open()))
    assert len(rows) == 3 and all(float(row["score_percentile"]) >= 0 for row in rows)
    assert main(["anomaly", "localise", "shipped", str(headers[0]), "-o", str(tmp_path)]) == 0
    assert (tmp_path / f"{headers[0].stem}.npz").is_file() and "% of normal recordings" in capsys.readouterr().out
    options = ["--start", "shipped", "--width", "8", "--steps", "1", "--batch-size", "2", "--leads", "2"]
    assert main(["anomaly", "fit", str(tmp_path / "data"), str(tmp_path / "model"), *options]) == 0
    start, fitted = shipped_detector(LEAD_SETS[2]).model, Detector.load(tmp_path / "model").model
    name = "record_encoder.0.weight"
    torch.testing.assert_close(fitted.state_dict()[name], start.state_dict()[name], atol=5e-3, rtol=0)
