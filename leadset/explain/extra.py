"""The extra ``explain``, imported when it is first used."""

from __future__ import annotations

from types import ModuleType


def captum_attr() -> ModuleType:
    """`captum.attr`.

    Raises:
        ValueError: Captum is not installed.
    """
    try:
        import captum.attr
    except ImportError as error:
        raise ValueError(f"gradients need Captum ({error}): install leadset[explain], or use occlusion") from error
    return captum.attr
