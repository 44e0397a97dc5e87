"""The Challenge's scores, exactly; the same scores with confidence intervals; output files and score files."""

from __future__ import annotations

from leadset.scoring.evaluation import Answered, Scores, evaluate, load, score
from leadset.scoring.intervals import Interval, bootstrap, over, score_intervals
from leadset.scoring.metrics import accuracy, auprc, auroc, challenge_metric, f_measure, macro
from leadset.scoring.outputs import read_outputs, write_output
from leadset.scoring.report import class_scores_text, notices, scores_text
from leadset.scoring.search import ChallengeMetric

__all__ = [
    "Answered",
    "ChallengeMetric",
    "Interval",
    "Scores",
    "accuracy",
    "auprc",
    "auroc",
    "bootstrap",
    "challenge_metric",
    "class_scores_text",
    "evaluate",
    "f_measure",
    "load",
    "macro",
    "notices",
    "over",
    "read_outputs",
    "score",
    "score_intervals",
    "scores_text",
    "write_output",
]
