"""``leadset serve [MODEL]``: answer recordings over HTTP, by an API and a page (needs leadset[serve]).

If the environment variable LEADSET_API_KEY is set, clients must send its value as X-API-Key.

Examples:
    leadset serve
    leadset serve model --port 8080
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from contextlib import suppress

GROUP = "submit, share, serve"

KEY_VARIABLE = "LEADSET_API_KEY"

#: Seconds after which a thread gives Python to another that waits for it. A network runs outside of Python and needs
#: it for a moment before each of its layers; by default it waits up to 5 ms for a thread that judges beside it.
_TURN_S = 5e-4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("entry", metavar="MODEL", nargs="?", help="a trained entry (default: the one that ships)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine)")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s")
    parser.add_argument("--config", metavar="FILE", help="configuration that overrides default.toml, table [serve]")


def run(arguments: argparse.Namespace) -> int:
    """Serves until interrupted; returns the exit status.

    Raises:
        OSError: the port is taken, or there is no such address.
        ValueError: what the extra installs is missing.
    """
    try:
        import uvicorn

        from leadset.serve.api import create_app
    except ImportError as error:
        raise ValueError(f"found no {error.name}, expected the extra: pip install leadset[serve]") from error
    from leadset.config import load_config
    from leadset.entry import load_entry
    from leadset.utils.memory import share_memory_of_threads
    from leadset.utils.workers import available_cores

    sys.setswitchinterval(_TURN_S)
    share_memory_of_threads(available_cores() + 1)  # a thread on each core, and those that wait
    config = load_config(arguments.config, folder=arguments.call.folder)
    listening = _listen(arguments.host, arguments.port)
    entry = load_entry(arguments.entry, lead_names=config.leads)
    app = create_app(entry, config.serve, os.environ.get(KEY_VARIABLE, ""))
    # Clients that come while networks are loaded wait for their answer.
    port = listening.getsockname()[1]
    print(f"http://{arguments.host}:{port} answers with {entry.folder}; Ctrl-C ends it", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with listening, suppress(KeyboardInterrupt):
        server.run([listening])
    return 0 if server.started else 1


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        OSError: the port is taken or none, or there is no such address.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        found = getattr(error, "strerror", "no port").partition(" (")[0]  # behind it, Python repeats the address
        raise OSError(f"{host}:{port}: found {found}, expected a free port (--port) of this machine (--host)") from None
