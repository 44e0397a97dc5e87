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
from leadset.training.ensemble import (
    FOLDS,
    ValidationOutputs,
    ValidationTargets,
    choose,
    out_of_fold,
)
from leadset.training.evidence import ablation, adds_something, asked_first, describe, fit_set
from leadset.training.partial_labels import shares
from leadset.training.set_scores import validation_scores
from leadset.training.thresholds import fit_thresholds


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
        data = self.context.data
        values = np.column_stack([data.abnormal, data.targets])
        return ValidationTargets(values[data.valid], data.labels[data.valid], shares(values[data.train]))

    def join(self, leads: tuple[str, ...]) -> tuple[TrainedSet, dict[str, Any]]:
        """A lead set; and, as plain values, its scores and what cross-fitting found of its ensemble and its detector.

        Prints both.
        """
        jobs = [job for job in self.jobs if leads in job.serves]
        networks = [self._outputs(job, leads) for job in jobs]
        answers = [out_of_fold(network, self.targets, self.folds) for network in networks]
        members = tuple(
            self._member(job, leads, network, own)
            for job, network, own in zip(jobs, networks, answers, strict=True)
        )
        trained, report = self._fit(leads, members, networks, answers)
        asked = [members[i].architecture for i in asked_first(networks)]
        if "best" in report["ensemble"]:
            report["ensemble"]["best"] = asked[report["ensemble"]["best"]]
        report["ensemble"]["networks"] = asked
        report["scores"] = validation_scores(trained, answers, self.targets.labels, self.space, self.context.data)
        for line in self._describe(trained, report):
            print(f"{'':13} {line}")
        return trained, report

    def _fit(
        self,
        leads: tuple[str, ...],
        members: tuple[Member, ...],
        networks: Sequence[ValidationOutputs],
        answers: Sequence[np.ndarray],
    ) -> tuple[TrainedSet, dict[str, Any]]:
        choice = choose([answers[i] for i in asked_first(networks)], self.targets, self.folds, self.space)
        trained = fit_set(leads, members, networks, answers, self.targets, self.space, self.about, choice)
        if trained.evidence is None:
            return trained, {"ensemble": dict(choice.report), "detector": {}}
        ablated = ablation(networks, self.targets, self.folds, self.space, choice)
        ablated["asked"] = adds_something(ablated)
        if not ablated["asked"]:
            trained = replace(trained, evidence=None)
        return trained, {"ensemble": dict(choice.report), "detector": ablated}

    def seconds(self) -> float:
        """How long it takes to join the networks of a lead set, measured on random answers."""
        rng, started, leads = np.random.default_rng(0), time.monotonic(), self.jobs[0].serves[0]
        networks = []
        for job in (job for job in self.jobs if leads in job.serves):
            detects = job.kind != "classifier"
            width = len(feature_names(leads)) if detects else len(self.space)
            networks.append(ValidationOutputs(rng.random((len(self.folds), width)), detects))
        answers = [out_of_fold(network, self.targets, self.folds) for network in networks]
        for probabilities in answers:
            fit_thresholds(probabilities, self.targets.labels, self.space)
        self._fit(leads, (), networks, answers)
        return time.monotonic() - started

    def _describe(self, trained: TrainedSet, report: dict[str, Any]) -> Iterator[str]:
        """What was found, in lines."""
        how = "thresholds" if trained.ensemble.rule.rewards is None else "the highest expected score"
        weights = zip(trained.members, trained.ensemble.weights, strict=True)
        by_name = ", ".join(f"{member.architecture} {weight:.2f}" for member, weight in weights if weight)
        alone = ", which is better alone than with the others" if report["ensemble"].get("alone") is not None else ""
        yield f"weights: {by_name}{alone}; decided by {how}"
        if report["detector"]:
            unasked = "" if report["detector"]["asked"] else ", so it has no say"
            yield f"{describe(report['detector'])}{unasked}"

    def _outputs(self, job: Job, leads: tuple[str, ...]) -> ValidationOutputs:
        return ValidationOutputs(self.context.answers(job, leads), job.kind != "classifier")

    def _member(
        self, job: Job, leads: tuple[str, ...], network: ValidationOutputs, probabilities: np.ndarray
    ) -> Member:
        """A trained network on a lead set as `entry.json` describes it; the head of a detector is written."""
        head = ""
        if network.detects:
            head = job.head
            fitted = fit_head(network.answers, self.targets.values, self.targets.shares)
            fitted.write(self.context.folder / head)
        rule = fit_thresholds(probabilities, self.targets.labels, self.space, self.about)
        macs = model_cost(job.architecture, leads, **job.options).macs
        return Member(
            job.architecture, job.options, job.spec, job.weights, rule, self.context.summary(job, leads), macs, head,
            self.context.detector_files(job), universal=bool(job.cut_to),
        )  # fmt: skip
