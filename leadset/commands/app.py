"""``leadset app [MODEL]``: open a page that shows recordings and what an entry says of them (needs leadset[app]).

Examples:
    leadset app
    leadset app model --port 8600
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import leadset
from leadset.config import load_config

GROUP = "look at recordings and answers"

# Streamlit runs the page as a script of its own, which is told the entry by this environment variable.
_ENTRY = "LEADSET_APP_ENTRY"
_SCRIPT = Path(leadset.__file__).parent / "serve" / "app.py"
#: What Streamlit shall not do: ask for an address, count visitors, watch files.
_QUIET = {"server.headless": "true", "browser.gatherUsageStats": "false", "server.fileWatcherType": "none",
          "client.toolbarMode": "minimal"}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("entry", metavar="MODEL", nargs="?", help="a trained entry (default: the one that ships)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine)")
    parser.add_argument("--port", type=int, default=8501, help="default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    """Serves the page until interrupted; returns the exit status.

    Raises:
        FileNotFoundError: there is no such entry.
        ValueError: what the extras install is missing.
    """
    from leadset.entry.prediction import is_shipped

    for name, extra in (("streamlit", "app"), ("plotly", "app"), ("fastapi", "serve"), ("matplotlib", "plots")):
        if find_spec(name) is None:
            raise ValueError(f"found no {name}, expected the extra {extra}: pip install leadset[app,serve,plots]")
    entry = {}
    if arguments.entry is not None and not is_shipped(arguments.entry):
        if not Path(arguments.entry).exists():
            raise FileNotFoundError(f"{arguments.entry}: no such folder, expected a trained entry")
        entry[_ENTRY] = str(Path(arguments.entry).resolve())
    most = load_config(folder=arguments.call.folder).serve.upload_mb
    options = {**_QUIET, "server.address": arguments.host, "server.port": str(arguments.port)}
    options["server.maxUploadSize"] = str(max(1, int(most)))
    words = [f"--{key}={value}" for key, value in options.items()]
    command = [sys.executable, "-m", "streamlit", "run", *words, str(_SCRIPT)]
    return subprocess.run(command, env={**os.environ, **entry}).returncode
