"""What the organisers' script of this name does, after the Challenge's description.

It finds the recordings of one folder, calls `load_model` once for each tuple of leads, in standard order, then
`run_model` once for each recording; what `run_model` raises becomes an empty answer.
"""

from __future__ import annotations

import os
import sys

from helper_code import (
    find_challenge_files,
    get_leads,
    get_recording_id,
    load_header,
    load_recording,
    save_outputs,
    sort_leads,
)
from team_code import load_model, run_model


def answer_all(model_directory: str, data_directory: str, output_directory: str) -> None:
    """Writes an output file for each recording."""
    header_files, recording_files = find_challenge_files(data_directory)
    headers = [load_header(file) for file in header_files]
    leads = [tuple(sort_leads(get_leads(header))) for header in headers]
    models = {one: load_model(model_directory, one) for one in sorted(set(leads), key=lambda one: (-len(one), one))}
    os.makedirs(output_directory, exist_ok=True)
    for header_file, recording_file, header, of_header in zip(
        header_files, recording_files, headers, leads, strict=True
    ):
        try:
            answer = run_model(models[of_header], header, load_recording(recording_file))
        except Exception as error:
            print(f"{header_file}: {type(error).__name__}: {error}")
            answer = [], [], []
        name = os.path.splitext(os.path.basename(header_file))[0]
        save_outputs(os.path.join(output_directory, f"{name}.csv"), get_recording_id(header), *answer)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: test_model.py MODEL DATA OUTPUTS")
    answer_all(*sys.argv[1:])
    print("Done.")
