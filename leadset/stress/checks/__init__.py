"""The checks, a function each; `leadset.stress.registry` finds them by the modules of this folder, in their order."""
