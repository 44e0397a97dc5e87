"""The card of a model folder: what it is, what it learned from, how well it does, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leadset.leads import lead_set_name

FILE_NAME = "README.md"
_SCORES = {"auroc": "AUROC", "challenge_metric": "Challenge metric"}
_COUNTS = (
    *("found", "recordings", "train", "validation", "simulated"),
    *("unreadable", "of_patients_validated_on", "without_diagnosis", "left_out"),
)


def card_text(values: Mapping[str, Any], classes: Sequence[str]) -> str:
    """The card as Markdown.

    Args:
        values: what `entry.json` holds.
        classes: abbreviations of the classes.
    """
    provenance = values["provenance"]
    parts = [
        "# A Leadset entry",
        f"It answers {len(classes)} classes for recordings of any sampling rate, in this order: {', '.join(classes)} "
        f"(label space `{values['label_space']}`).",
        "```\nleadset predict RECORD --entry FOLDER\n```",
        "`entry.json` holds all that is said here and more. The kit wrote this page when it wrote `entry.json`.",
        "## Networks\n\n" + "\n".join(_networks(values["lead_sets"])),
        "## Data\n\n" + "\n".join(_data(provenance)),
        "## Scores\n\n" + "\n".join(_scores(provenance.get("scores") or {})),
        "## Licence and use\n\n"
        "- **Weights**: their licence is not stated by the kit, whose code is BSD-3-Clause. They derive from the "
        "recordings above, whose terms hold; whoever shares them says which.\n"
        "- **Intended use**: research on ECG classification, on recordings like those above.\n"
        "- **Not a medical device**: no diagnosis or treatment may rest on an answer. Other patients, recorders and "
        "diagnoses may be answered wrongly, and probabilities hold for a population like that of the data.",
    ]
    return "\n\n".join(parts) + "\n"


def _networks(sets: list[Mapping[str, Any]]) -> list[str]:
    lines = ["| Leads | Networks | Weights in the ensemble |", "|---|---|---|"]
    for one in sets:
        names = ", ".join(member["architecture"] for member in one["members"])
        weights = ", ".join(f"{weight:.2f}" for weight in one["ensemble"]["weights"])
        lines.append(f"| {lead_set_name(one['leads'])} | {names} | {weights} |")
    return lines


def _data(provenance: Mapping[str, Any]) -> list[str]:
    data = provenance.get("data") or {}
    counts = [f"{data[key]} {key.replace('_', ' ')}" for key in _COUNTS if data.get(key)]
    lines = [f"- **Recordings**: {', '.join(counts)}"] if counts else ["- **Recordings**: not recorded"]
    facts = {"Fingerprint": data.get("fingerprint"), "Split": data.get("split") or data.get("part"),
             "Seed": provenance.get("seed"), "Flags": "; ".join(provenance.get("flags") or ())}  # fmt: skip
    lines += [f"- **{name}**: {value}" for name, value in facts.items() if value not in (None, "")]
    versions = ", ".join(f"{name} {version}" for name, version in (provenance.get("versions") or {}).items())
    return [*lines, f"- **Versions**: {versions}"] if versions else lines


def _scores(scores: Mapping[str, Any]) -> list[str]:
    rows = [(leads, own) for leads, own in scores.items() if isinstance(own, Mapping)]
    if not rows:
        return ["None were measured when the entry was written. Believe scores on recordings that it never saw."]
    lines = [f"| Leads | {' | '.join(_SCORES.values())} | Recordings |", "|---|" + "---|" * (len(_SCORES) + 1)]
    for leads, own in rows:
        cells = " | ".join(_interval(own.get(key)) for key in _SCORES)
        lines.append(f"| {leads} | {cells} | {own.get('recordings', '–')} |")
    part = next((own["part"] for _, own in rows if own.get("part")), "")
    note = "With 95 % intervals over patients." + (f" Measured on: {part}." if part else "")
    return [*lines, "", f"{note} Believe scores on recordings that it never saw."]


def _interval(score: Any) -> str:
    if isinstance(score, Mapping):
        value, low, high = (score.get(key) for key in ("value", "low", "high"))
        if None in (value, low, high):
            return "–"
        return f"{value:.3f} ({low:.3f} to {high:.3f})"
    return f"{score:.3f}" if isinstance(score, float) else "–"
