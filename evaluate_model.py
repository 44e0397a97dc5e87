#!/usr/bin/env python
"""Scores a folder of output files as the Challenge does.

    python evaluate_model.py LABELS OUTPUTS [SCORES.csv [CLASS_SCORES.csv]]

Prints the scores if no file is named.
"""

from __future__ import annotations

import sys

from leadset import scoring
from leadset.utils.files import write_atomically


def main(arguments: list[str]) -> int:
    """Returns the exit status: 0 done, 1 failed with a message, 2 wrong usage."""
    if not 2 <= len(arguments) <= 4:
        print("usage: evaluate_model.py LABELS OUTPUTS [SCORES.csv [CLASS_SCORES.csv]]", file=sys.stderr)
        return 2
    label_directory, output_directory, *score_files = arguments
    try:
        scores = scoring.evaluate(label_directory, output_directory)
        texts = (scoring.scores_text(scores), scoring.class_scores_text(scores))
        for path, text in zip(score_files, texts, strict=False):
            with write_atomically(path) as file:
                file.write(text)
    except (OSError, ValueError) as error:
        print(f"evaluate_model: {error}", file=sys.stderr)
        return 1
    if scores.unanswered:
        found = f"{len(scores.unanswered)} of {scores.n_recordings} outputs are empty, have lines of unequal length or"
        found += f" name none of the classes, and count as none; the first is {scores.unanswered[0]}"
        print(f"evaluate_model: {found}", file=sys.stderr)
    if not score_files:
        print(texts[0])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
