"""``leadset VERB``: a file for each verb, which is found by its name.

A verb's module has a docstring whose first line is its usage and, after a colon, what it does, and which ends with
examples; ``GROUP``, the heading of `leadset.cli.GROUPS` below which it is listed; ``add_arguments(parser)``; and
``run(arguments) -> int``, which returns the exit status. ``arguments.call`` is a `leadset.cli.Call`.
"""
