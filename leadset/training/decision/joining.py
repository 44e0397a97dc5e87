"""From trained networks to the lead sets of an entry: what each of them answers by, alone and together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from leadset.anomaly.features import feature_names
from leadset.anomaly.head import fit_head
from leadset.entry.manifest import Member, TrainedSet
from leadset.models.cost import model_cost
from leadset.training.context import SPLIT_FILE, Job, TrainingContext
from leadset.training.decision.ensemble import (
    FOLDS,
    UNJUDGED,
    Known,
    ValidationOutputs,
    ValidationTargets,
    choose,
    fit_own_rule,
    gain_of_validation_alone,
    out_of_fold,
)
from leadset.training.decision.evidence import ablation, adds_something, asked_first, describe, fit_set
from leadset.training.decision.set_scores import validation_scores
from leadset.training.steps.partial_labels import shares


class Joining:
    """Joins the networks of each lead set of a run.

    Args:
        context: of the run; all networks are trained.
        jobs: the networks.
    """

    def __init__(self, context: TrainingContext, jobs: Sequence[Job]) -> None:
        self.context, self.jobs, self.space = context, jobs, context.space
        seed = context.config.seed
        self.about = {"split": SPLIT_FILE, "part": context.data.valid_name, "seed": seed}
        self.folds = context.data.valid_folds(FOLDS, seed)

    @cached_property
    def targets(self) -> ValidationTargets:
        """What is known of the validation recordings."""
        return self._targets(self.context.data.valid)

    def _targets(self, recordings: np.ndarray) -> ValidationTargets:
        data = self.context.data
        values = np.column_stack([data.abnormal, data.targets])
        return ValidationTargets(values[recordings], data.labels[recordings], shares(values[data.train]))

    def join(self, leads: tuple[str, ...]) -> tuple[TrainedSet, dict[str, Any]]:
        """A lead set; and, as plain values, its scores and what cross-fitting found of its ensemble and its detector.

        Prints both.
        """
        jobs = [job for job in self.jobs if leads in job.serves]
        known, compared = self._chosen(self._known(jobs, leads))
        answers, about = _answers(known), self._about(known)
        members = tuple(self._member(job, leads, known, i, answers[i], about) for i, job in enumerate(jobs))
        trained, report = self._fit(leads, members, known, answers, about)
        report["ensemble"] |= compared
        asked = [members[i].architecture for i in asked_first(known.networks)]
        if "best" in report["ensemble"]:
            report["ensemble"]["best"] = asked[report["ensemble"]["best"]]
        report["ensemble"]["networks"] = asked
        own = [p[known.folds != UNJUDGED] for p in answers]
        report["scores"] = validation_scores(trained, own, self.targets.labels, self.space, self.context.data)
        for line in self._describe(trained, report):
            print(f"{'':13} {line}")
        return trained, report

    def _known(self, jobs: Sequence[Job], leads: tuple[str, ...]) -> Known:
        """What networks say of the recordings that are fitted to."""
        recordings, folds = self._fitted_to(jobs)
        networks = [self._outputs(job, leads, int((folds == UNJUDGED).sum())) for job in jobs]
        return Known(networks, self._targets(recordings), folds)

    def _fitted_to(self, jobs: Sequence[Job]) -> tuple[np.ndarray, np.ndarray]:
        """Validation recordings, and others where all classifiers have weights that did not see them; folds."""
        besides = [self.context.fit_recordings(job) for job in jobs if job.kind == "classifier"]
        others = min(besides, key=len, default=np.zeros(0, dtype=int))
        recordings = np.append(self.context.data.valid, others)
        return recordings, np.append(self.folds, np.full(len(others), UNJUDGED))

    def _chosen(self, known: Known) -> tuple[Known, dict[str, Any]]:
        """What is fitted to: all, or validation recordings alone, where that is better beyond noise; and the report."""
        besides = int((known.folds == UNJUDGED).sum())
        if not besides:
            return known, {}
        answers = _answers(known)
        gain = gain_of_validation_alone(known, [answers[i] for i in asked_first(known.networks)], self.space)
        alone = gain["low"] > 0
        report = {"besides": {"recordings": besides, "gain_without": gain, "fitted_to": not alone}}
        return known.validation() if alone else known, report

    def _about(self, known: Known) -> dict[str, Any]:
        """Provenance of what is fitted."""
        besides = int((known.folds == UNJUDGED).sum())
        return self.about | ({"besides": f"{besides} of training, answered from simulation alone"} if besides else {})

    def _fit(
        self,
        leads: tuple[str, ...],
        members: tuple[Member, ...],
        known: Known,
        answers: Sequence[np.ndarray],
        about: dict[str, Any],
    ) -> tuple[TrainedSet, dict[str, Any]]:
        networks, targets, folds = known
        choice = choose([answers[i] for i in asked_first(networks)], targets, folds, self.space)
        trained = fit_set(leads, members, networks, answers, targets, self.space, about, choice)
        if trained.evidence is None:
            return trained, {"ensemble": dict(choice.report), "detector": {}}
        ablated = ablation(networks, targets, folds, self.space, choice)
        ablated["asked"] = adds_something(ablated)
        if not ablated["asked"]:
            trained = replace(trained, evidence=None)
        return trained, {"ensemble": dict(choice.report), "detector": ablated}

    def seconds(self) -> float:
        """How long it takes to join the networks of a lead set, measured on random answers."""
        rng, started, leads = np.random.default_rng(0), time.monotonic(), self.jobs[0].serves[0]
        jobs = [job for job in self.jobs if leads in job.serves]
        recordings, folds = self._fitted_to(jobs)
        networks = []
        for job in jobs:
            detects = job.kind != "classifier"
            width = len(feature_names(leads)) if detects else len(self.space)
            networks.append(ValidationOutputs(rng.random((len(folds), width)), detects))
        known, _ = self._chosen(Known(networks, self._targets(recordings), folds))
        answers = _answers(known)
        for probabilities in answers:
            fit_own_rule(probabilities, known.targets, self.space, {})
        self._fit(leads, (), known, answers, {})
        return time.monotonic() - started

    def _describe(self, trained: TrainedSet, report: dict[str, Any]) -> Iterator[str]:
        """What was found, in lines."""
        how = "thresholds" if trained.ensemble.rule.rewards is None else "the highest expected score"
        weights = zip(trained.members, trained.ensemble.weights, strict=True)
        by_name = ", ".join(f"{member.architecture} {weight:.2f}" for member, weight in weights if weight)
        alone = ", which is better alone than with the others" if report["ensemble"].get("alone") is not None else ""
        yield f"weights: {by_name}{alone}; decided by {how}"
        besides = report["ensemble"].get("besides")
        if besides:
            used = "also" if besides["fitted_to"] else "not"
            yield f"{used} fitted to {besides['recordings']} training recordings, as simulation alone answers them"
        if report["detector"]:
            unasked = "" if report["detector"]["asked"] else ", so it has no say"
            yield f"{describe(report['detector'])}{unasked}"

    def _outputs(self, job: Job, leads: tuple[str, ...], besides: int) -> ValidationOutputs:
        """Answers to the validation part, and `simulated_answers` to others, which a detector has not scored."""
        answers, detects = self.context.answers(job, leads), job.kind != "classifier"
        if besides:
            unscored = np.full((besides, answers.shape[1]), np.nan)
            answers = np.concatenate([answers, unscored if detects else self.context.simulated_answers(job, leads)])
        return ValidationOutputs(answers, detects)

    def _member(
        self, job: Job, leads: tuple[str, ...], known: Known, i: int, probabilities: np.ndarray, about: dict[str, Any]
    ) -> Member:
        """A trained network on a lead set as `entry.json` describes it; the head of a detector is written."""
        head, network = "", known.networks[i]
        if network.detects:
            head = job.head
            fitted = fit_head(network.answers, known.targets.values, known.targets.shares)
            fitted.write(self.context.folder / head)
        rule = fit_own_rule(probabilities, known.targets, self.space, about)
        macs = model_cost(job.architecture, leads, **job.options).macs
        return Member(
            job.architecture, job.options, job.spec, job.weights, rule, self.context.summary(job, leads), macs, head,
            self.context.detector_files(job), universal=bool(job.cut_to),
        )  # fmt: skip


def _answers(known: Known) -> list[np.ndarray]:
    """Probabilities (n, k) of each network, of a detector by heads that were fitted on other recordings."""
    return [out_of_fold(network, known.targets, known.folds) for network in known.networks]
