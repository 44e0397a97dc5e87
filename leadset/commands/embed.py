"""``leadset embed RECORD… -o FILE``: write feature vectors of recordings, one for each network of an entry.

FILE ends in ``.npz`` (arrays ``recordings``, ``leads``, ``codes``, ``flags``, and one of vectors for each network) or
in ``.parquet`` (a row for each recording, a column for each feature). ``codes`` are the diagnoses that a header or a
table gives, with semicolons between.

Examples:
    leadset embed data -o vectors.npz
    leadset embed data -o vectors.npz --entry model
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from leadset.commands._data import add_records, find_records
from leadset.config import load_lead_names
from leadset.recordings import Recording
from leadset.recordings.names import distinct_names
from leadset.utils.files import write_atomically

GROUP = "submit, share, serve"

if TYPE_CHECKING:
    from leadset.entry import Embedding

_ENDINGS = (".npz", ".parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    add_records(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE",
                        help=f"a name that ends in {' or '.join(_ENDINGS)}")
    parser.add_argument("--entry", metavar="MODEL", help="folder of a trained entry (default: the one that ships)")


def run(arguments: argparse.Namespace) -> int:
    """Embeds; returns 0, or 1 if a recording has no vectors, which does not keep the others from being written."""
    if arguments.output.suffix not in _ENDINGS:
        arguments.call.usage_error(f"found {arguments.output}, expected a name that ends in {' or '.join(_ENDINGS)}")
    if arguments.output.suffix == ".parquet" and not (find_spec("pandas") and find_spec("pyarrow")):
        raise ValueError("found no pandas or no pyarrow, expected both: install leadset[tables]")
    from leadset.entry import load_entry

    entry = load_entry(arguments.entry, lead_names=load_lead_names(arguments.call.folder))
    records = find_records(arguments.records, arguments)
    paths = records.paths
    codes: list[str] = []

    def read() -> Iterator[Recording | Path]:
        for recording in records.inputs(entry.lead_names):
            codes.append(";".join(recording.codes) if isinstance(recording, Recording) else "")
            yield recording

    embeddings = list(tqdm(entry.embed(read()), "embed", len(paths), unit="rec", disable=None))
    names = distinct_names(paths)
    about = {
        "leads": [",".join(one.leads) for one in embeddings], "codes": codes,
        "flags": ["; ".join(one.flags) for one in embeddings],
    }  # fmt: skip
    write = _write_parquet if arguments.output.suffix == ".parquet" else _write_npz
    content = io.BytesIO()
    write(content, names, about, stack(embeddings))
    with write_atomically(arguments.output, "wb") as file:
        file.write(content.getvalue())
    failed = [(name, one.flags[-1]) for name, one in zip(names, embeddings, strict=True) if not one.features]
    for name, reason in failed:
        print(f"{name}: {reason}")
    print(f"{len(names) - len(failed)} of {len(names)} recordings written to {arguments.output}")
    return 1 if failed else 0


def stack(embeddings: Sequence[Embedding]) -> dict[str, np.ndarray]:
    """Vectors (n, f) float32 of each network, NaN where a recording has none.

    Raises:
        ValueError: vectors of a network have different lengths, as those of different lead sets may.
    """
    arrays: dict[str, np.ndarray] = {}
    for network in dict.fromkeys(network for one in embeddings for network in one.features):
        lengths = {one.features[network].size for one in embeddings if network in one.features}
        if len(lengths) > 1:
            found = ", ".join(map(str, sorted(lengths)))
            raise ValueError(f"{network}: found vectors of {found} numbers, expected one length: embed lead sets apart")
        missing = np.full(lengths.pop(), np.nan, np.float32)
        arrays[network] = np.stack([one.features.get(network, missing) for one in embeddings]).astype(np.float32)
    return arrays


def _write_npz(
    file: io.BytesIO, names: Sequence[str], about: dict[str, list[str]], arrays: dict[str, np.ndarray]
) -> None:
    texts = {key: np.array(values) for key, values in about.items()}
    np.savez_compressed(file, recordings=np.array(names), **texts, **arrays)


def _write_parquet(
    file: io.BytesIO, names: Sequence[str], about: dict[str, list[str]], arrays: dict[str, np.ndarray]
) -> None:
    import pandas as pd

    vectors = [
        pd.DataFrame(array, columns=[f"{network}_{i}" for i in range(array.shape[1])])
        for network, array in arrays.items()
    ]
    pd.concat([pd.DataFrame({"recording": names, **about}), *vectors], axis=1).to_parquet(file, index=False)
