"""``leadset models [NAME]``: list the registered architectures, or what one of them costs on every lead set.

The README holds the first table and a model's card the second.

Examples:
    leadset models
    leadset models resnet34
"""

from __future__ import annotations

import argparse

GROUP = "compare networks"


def overview() -> str:
    """The table in Markdown: input, parameters and multiply-accumulates at published size on twelve leads."""
    import torch

    from leadset.models.cost import model_costs
    from leadset.models.registry import count_parameters, create_model, list_models, model_entry

    rows = ["| Name | Model | Answers | Input | Parameters | MMAC |", "|---|---|---|---|---|---|"]
    for name in list_models():
        entry = model_entry(name)
        with torch.device("meta"):  # counted only: no weight is drawn
            model = create_model(name)
        spec = model.input_spec
        window = f"{spec.seconds:g} s at {spec.transform.rate} Hz"
        parameters = f"{count_parameters(model) / 1e6:.2f} M"
        macs = f"{model_costs(name, [12])[0].macs / 1e6:,.0f}" if entry.kind == "classifier" else "–"
        after = f"[{entry.after}]({entry.url})" if entry.url else entry.after
        answers = "classes" if entry.kind == "classifier" else "anomalies; classes by a head"
        cells = [f"[`{name}`]({entry.card})", f"{entry.title}: {after}", answers, window, parameters, macs]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="an architecture, to print the table of its card")


def run(arguments: argparse.Namespace) -> int:
    """Prints a table; returns the exit status."""
    from leadset.models.cost import cost_table

    print(overview() if arguments.name is None else cost_table(arguments.name))
    return 0
