"""Cards of the weights that ship: what each file says of itself, in words, with scores."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leadset.models import model_entry
from leadset.models.registry import count_parameters
from leadset.models.shipped import load_shipped, read_shipped
from leadset.utils.files import write_atomically

#: How each source of real recordings is to be named, and its licence.
ATTRIBUTION: dict[str, str] = {
    "challenge": "PhysioNet/CinC Challenge 2021 (Reyna et al., Computing in Cardiology 48, 2021; sources CPSC 2018 and "
    "its extra part, Georgia, PTB, PTB-XL, Chapman-Shaoxing and Ningbo; CC BY 4.0)",
    "ptbxl": "PTB-XL (Wagner et al., Scientific Data 7:154, 2020; CC BY 4.0), with unit SD in every lead",
    "ludb": "Lobachevsky University Database (Kalyakulina et al., IEEE Access 8, 2020; ODC-By 1.0)",
    "af_2017": "PhysioNet/CinC Challenge 2017 (Clifford et al., Computing in Cardiology 44, 2017; ODC-By 1.0), lead I",
}
_CAVEATS = (
    "Each recording below was answered by weights that did not learn from it (`simulated`: nothing real; `tuned`: five "
    "folds, recordings of one patient in one fold). The weights of the file learned from all of them, so that on these "
    'recordings they prove nothing: an experiment on any of them starts from `pretrained="simulated"`.',
    "Which habits of sources the simulated labels follow was decided on the 267 recordings of `challenge`, the "
    "learning rate of the tuning on two of the five folds, which of its weights ship on all: scores are slightly "
    "optimistic.",
    "Probabilities follow how often classes occur in training: calibrate before deciding.",
    "Classes that sources use differently stay weak: NSR (a rhythm here, a normal ECG there), TAb, RBBB in CPSC 2018.",
    "Hearts of children, pacemakers, infarction beyond Q waves and rare rhythms are simulated little or not at all.",
    "No medical device.",
)
#: The weights that ship, by `leadset.training.shipped.tuning.READOUTS`.
_READOUTS = {"last": "those after it", "half-way": "the mean of those before and after"}
_ABOUT_SCORES = (
    "Area under the ROC curve, 95 % interval in brackets, on 12, 6, 4, 3 and 2 leads and on lead I "
    "(`benchmarks/universal.csv`). Behind a class stands how many recordings have it. *mean*: of the classes that ten "
    "recordings or more have and ten or more have not; *mean of eleven*: of those listed for `challenge`; *mean of "
    "rhythms*: of AF, NSR, SB, STach, SA, PAC, PVC and IAVB among the first."
)
_SHARED = (
    "Prepared as real recordings are: simulated at 200, 250 or 500 Hz, noise between half and twice the simulator's "
    "level, 5 % shorter than the window. Half lose leads: 60 % of these keep the 6, 4, 3 or 2 of the Challenge, 15 % "
    "lead I, the others any. A tenth have unit SD in every lead. One gain for all leads (SD 10 %) and 2 % white noise. "
    "Binary cross-entropy on the 26 classes of the Challenge 2021; code 164884008 counts as PVC, and labels follow "
    "what a source might call the same heart. AdamW with a trapezoidal schedule, bfloat16 where the processor has it; "
    "the last weights are kept."
)


def write_card(network: str, folder: Path, scores: Sequence[str]) -> Path:
    """Writes ``NETWORK.md`` beside the weights; ``scores`` are tables in Markdown. Returns the file."""
    _, about = read_shipped(folder / f"{network}.safetensors")
    paragraphs = [
        f"# {network}: universal weights", _introduction(network, folder, about), "## Data", *_data(about),
        "## Recipe", *_recipe(about), "## Caveats", *(f"- {caveat}" for caveat in _CAVEATS), "## Scores",
        _ABOUT_SCORES,
    ]  # fmt: skip
    path, text = folder / f"{network}.md", ""
    for paragraph in paragraphs:
        item = paragraph.startswith("- ")
        text += textwrap.fill(paragraph, 120, subsequent_indent="  " * item, break_long_words=False)
        text += "\n" if item else "\n\n"
        text = text.replace("\n## ", "\n\n## ").replace("\n\n\n", "\n\n")
    with write_atomically(path) as file:
        file.write("\n".join([text, *scores]).rstrip() + "\n")
    return path


def _introduction(network: str, folder: Path, about: dict[str, Any]) -> str:
    parameters = count_parameters(load_shipped(network, folder=folder)) / 1e6
    options = ", ".join(f"{name}={value!r}" for name, value in about["options"].items() if name != "zero_leads")
    size = (folder / f"{network}.safetensors").stat().st_size / 1e6
    way = "gives leads that are missing zeros" if about["options"].get("zero_leads") else "cuts it to any lead set"
    return (
        f"{model_entry(network).title} ({options}), {parameters:.2f} million weights in half precision ({size:.1f} "
        f'MB), trained on twelve leads with lead-set dropout. `create_model("{network}", leads, pretrained=True)` '
        f"{way}, one lead included; "
        '`pretrained="simulated"` takes the weights that nothing real stands behind.'
    )


def _data(about: dict[str, Any]) -> list[str]:
    lines = [f"- `leadset.simulate`: {about['recordings']:,} recordings, each seen once."]
    if "real" not in about:
        return [*lines, "- Nothing real: of this architecture only weights from simulation alone ship."]
    return lines + [f"- {about['real'][name]:,} recordings: {text}." for name, text in ATTRIBUTION.items()]


def _recipe(about: dict[str, Any]) -> list[str]:
    recipe, tuning = about["recipe"], about.get("tuning")
    lines = [
        f"`python -m leadset.training.shipped.universal {about['network']} WORK`: {recipe['steps']} steps of "
        f"{recipe['batch_size']}, learning rate {recipe['learning_rate']}, weight decay {recipe['weight_decay']}, seed "
        f"{recipe['seed']}; {about['core_hours']} core hours, simulation included. {_SHARED}"
    ]
    if tuning:
        lines.append(
            f"`python -m leadset.training.shipped.tuning DATA WORK --network {about['network']}`: {tuning['steps']} "
            f"more steps of {tuning['batch_size']}, {tuning['simulated_share']:.0%} of each simulated, learning rate "
            f"{tuning['learning_rate']} falling to zero, seed {tuning['seed']}; the weights are "
            f"{_READOUTS[about['readout']]}; {about['tuning_core_hours']} core hours. Classes that a source does not "
            "annotate are left out of its loss."
        )
    return [*lines, f"Leadset {about['version']}; everything above is in the file's metadata."]
