"""The organisers' test driver as the Challenge describes it: one recording at a time, leads sorted, errors swallowed.

Written from the contract, not from our `test_model.py`, and reads signals with scipy, so that it shares nothing with
the batched path that it is compared with.
"""

from __future__ import annotations

from pathlib import Path

import scipy.io

from helper_code import find_challenge_files, get_leads, get_recording_id, load_header, save_outputs, sort_leads
from team_code import load_model, run_model


def drive(model_directory: Path, data_directory: Path, output_directory: Path) -> int:
    """Writes one output file per recording; returns the number of exceptions of `run_model` that it swallowed."""
    headers, signals = find_challenge_files(str(data_directory))
    leads_of = {header: tuple(sort_leads(get_leads(load_header(header)))) for header in headers}
    models = {leads: load_model(str(model_directory), leads) for leads in sorted(set(leads_of.values()))}
    output_directory.mkdir(parents=True, exist_ok=True)
    swallowed = 0
    for header_file, signal_file in zip(headers, signals, strict=True):
        header = load_header(header_file)
        try:
            counts = scipy.io.loadmat(signal_file)["val"]
            classes, labels, probabilities = run_model(models[leads_of[header_file]], header, counts)
        except Exception:
            swallowed += 1
            classes, labels, probabilities = [], [], []
        output = output_directory / f"{Path(header_file).stem}.csv"
        save_outputs(str(output), get_recording_id(header), classes, labels, probabilities)
    return swallowed
