"""``python -m leadset VERB``: a file for each verb, which is found by its name.

A verb's module has a docstring whose first line says what it does, ``add_arguments(parser)`` and
``run(arguments) -> int`` (the exit status).
"""
