"""The service as a process: an address to listen on, a log, and a quiet end."""

from __future__ import annotations

import errno
import gc
import logging
import os
import signal
import socket

import uvicorn

from app.api.connections import bounded
from app.errors import AddressInUse, SettingsInvalid
from app.main import create_app
from app.memory import settle
from app.settings import Settings, is_loopback
from app.store import Database, Keys, StoreUnusable
from app.telemetry import log_to_stderr, tell_crashes, traced

logger = logging.getLogger(__name__)

_BACKLOG = 2048
_GRACE_SECONDS = 10
"""What requests get to finish when the process is told to end."""


def serve(settings: Settings) -> None:
    """Listen and answer until SIGINT, SIGTERM or SIGHUP; what is being answered then is still answered.

    Raises:
        AddressInUse: another process listens there.
        SettingsInvalid: this machine has no such address, or this user may not listen there; or other machines could ask, and
            nothing would ask them for a key.
        ReleasesUnusable: the releases folder is no folder.
        ExtraMissing: the environment asks for traces, and the libraries are not installed.
    """
    settle()
    log_to_stderr(settings.log_format, settings.log_level)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    if settings.access_log:
        logging.getLogger("app.access").setLevel(logging.INFO)
    exposure = _exposure(settings)
    with traced(os.environ), _listening(settings.host, settings.port) as listener:
        if exposure:
            logger.warning(exposure)
        config = uvicorn.Config(
            create_app(settings),
            loop="uvloop",
            http=bounded(receive_seconds=settings.receive_seconds, max_body=settings.max_body),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,  # ours says more
            server_header=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        # What is there by now stays. Looking through all of it for garbage again and again stops the event loop for a tenth of a second.
        gc.freeze()
        tell_crashes()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)  # uvicorn ends gracefully, then raises the signal once more
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(
                signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM)
            )  # a terminal that is closed loses nothing either
        _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets is not None
        host, port = sockets[0].getsockname()[:2]
        try:
            print(f"irgan answers on http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)  # noqa: T201 - what a person, or a script that let the system choose the port, waits for
        except OSError as error:  # a full disk, or a pipe that nobody reads: that nobody is told keeps nobody from asking
            logger.warning("stdout cannot be written: %s", error)


def _exposure(settings: Settings) -> str:
    """Who is answered, where no key is asked for; empty where one is.

    Raises:
        SettingsInvalid: other machines could ask, and nothing would ask them for a key.
    """
    database = Database(settings.store)
    try:
        has_keys = bool(Keys(database).all())
    except StoreUnusable:
        return ""  # whoever asks is refused until the store can be read, and the log says why
    finally:
        database.close()
    if has_keys:
        return ""
    if is_loopback(settings.host):
        return "there are no API keys: everybody on this machine is answered, nobody else; see irgan keys create --help"
    if settings.insecure:
        return f"there are no API keys: everybody who reaches {settings.host} is answered (IRGAN_INSECURE)"
    raise SettingsInvalid(
        f"at {settings.host} other machines could ask, and there is no API key; make one: irgan keys create NAME --role read, "
        "or stay on this machine: --host 127.0.0.1; where something in front checks who asks: --insecure (IRGAN_INSECURE=true)"
    )


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
