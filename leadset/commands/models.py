"""``leadset models [NAME]``: list the registered architectures, or what one of them costs on every lead set.

Sizes are the published ones. The README holds the list and a model's card its costs, both by ``--markdown``.

Examples:
    leadset models
    leadset models resnet34
"""

from __future__ import annotations

import argparse

from leadset.utils.text_tables import aligned, markdown

GROUP = "compare networks"


def overview(linked: bool) -> list[tuple[str, ...]]:
    """The lines of the list: input, parameters and multiply-accumulates at published size on twelve leads.

    Args:
        linked: with links in Markdown, to cards and publications.
    """
    import torch

    from leadset.models.cost import model_costs
    from leadset.models.registry import count_parameters, create_model, list_models, model_entry

    lines = [("Name", "Model", "Answers", "Input", "Parameters", "MMAC")]
    for name in list_models():
        entry = model_entry(name)
        with torch.device("meta"):  # counted only: no weight is drawn
            model = create_model(name)
        spec = model.input_spec
        window = f"{spec.seconds:g} s at {spec.transform.rate} Hz"
        parameters = f"{count_parameters(model) / 1e6:.2f} M"
        macs = f"{model_costs(name, [12])[0].macs / 1e6:,.0f}" if entry.kind == "classifier" else "–"
        after = f"[{entry.after}]({entry.url})" if linked and entry.url else entry.after
        answers = "classes" if entry.kind == "classifier" else "anomalies; classes by a head"
        shown = f"[`{name}`]({entry.card})" if linked else name
        lines.append((shown, f"{entry.title}: {after}", answers, window, parameters, macs))
    return lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="an architecture")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown, as documents hold it")


def run(arguments: argparse.Namespace) -> int:
    """Prints a table; returns the exit status."""
    from leadset.models.cost import cost_lines

    lines = overview(arguments.markdown) if arguments.name is None else cost_lines(arguments.name)
    print((markdown if arguments.markdown else aligned)(lines))
    return 0
