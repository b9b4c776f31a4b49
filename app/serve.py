"""The service as a process: an address to listen on, a log, and a quiet end."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import sys

import uvicorn

from app.errors import AddressInUse, SettingsInvalid
from app.main import create_app
from app.settings import Settings

_BACKLOG = 2048
_GRACE_SECONDS = 10
"""What requests get to finish when the process is told to end."""


def serve(settings: Settings, *, access_log: bool = False) -> None:
    """Listen and answer until SIGINT or SIGTERM; what is being answered then is still answered.

    Raises:
        AddressInUse: another process listens there.
        SettingsInvalid: this machine has no such address, or this user may not listen there.
        ReleasesUnusable: the releases folder is no folder.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").setLevel(logging.INFO)
    with _listening(settings.host, settings.port) as listener:
        config = uvicorn.Config(
            create_app(settings),
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=access_log,
            server_header=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)  # uvicorn ends gracefully, then raises the signal once more
        _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets is not None
        host, port = sockets[0].getsockname()[:2]
        print(f"irgan answers on http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)  # noqa: T201 - what a person, or a script that let the system choose the port, waits for


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"another process listens on {host}:{port} already; stop it, or choose another port (option --port, 0 takes a free one)"
            ) from error
        raise SettingsInvalid(
            f"cannot listen on {host}:{port}: {error.strerror or error} (options --host and --port)"
        ) from error
    return listener
