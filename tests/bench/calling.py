"""Asking one worker of the service over several connections kept open, beside an empty JSON endpoint of the same process.

A second process asks. The endpoints take turns for several rounds, and the figure of a round is the quotient of neighbours, so that
whatever else the machine does weighs on both. The empty endpoint is what FastAPI gives everybody: one function that returns `{}`, under the
same server settings.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any, Self

CONNECTIONS, ROUNDS, SECONDS = 16, 5, 2.0


def get(path: str) -> bytes:
    """A GET request, ready to be sent."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n".encode()


def post(path: str, body: dict[str, Any]) -> bytes:
    """A POST request with a JSON body."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def serve(releases: Path) -> None:
    """One worker: the service as `irgan serve` runs it, and the empty endpoint at `/empty`."""
    from fastapi import FastAPI  # noqa: PLC0415 - the client has no use for it
    from starlette.types import Receive, Scope, Send  # noqa: PLC0415 - likewise

    from app import serve as service  # noqa: PLC0415 - likewise
    from app.main import create_app  # noqa: PLC0415 - likewise
    from app.settings import Settings  # noqa: PLC0415 - likewise

    empty = FastAPI()

    @empty.get("/empty")
    async def nothing() -> dict[str, str]:
        return {}

    def both(settings: Settings) -> Any:
        real = create_app(settings)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await (empty if scope.get("path") == "/empty" else real)(scope, receive, send)

        return app

    service.create_app = both  # type: ignore[assignment]
    service.serve(Settings(releases=releases, port=0))


@dataclass(frozen=True, slots=True)
class Figures:
    """What one endpoint reached in one round: requests a second, and times in milliseconds."""

    rate: float
    p50: float
    p99: float

    @classmethod
    def of(cls, times: list[float], wall: float) -> Self:
        """From every answer's seconds, and those it all took."""
        times = sorted(times)
        p50, p99 = times[len(times) // 2], times[min(len(times) - 1, int(len(times) * 0.99))]
        return cls(rate=len(times) / wall, p50=p50 * 1e3, p99=p99 * 1e3)


class Caller(asyncio.Protocol):
    """One connection that sends the next request as soon as it has the answer to the last."""

    def __init__(self, requests: Sequence[bytes], offset: int, seconds: list[float], done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._next = offset
        self._seconds = seconds
        self._done = done
        self._buffer = b""
        self._length = -1
        self.stopped = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport: Any = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._length < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            if not head.startswith(b"http/1.1 200"):
                self._fail(RuntimeError(f"not answered: {self._buffer[:500]!r}"))
                return
            self._length = end + 4 + int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(self._buffer) >= self._length:
            self._seconds.append(perf_counter() - self._asked)
            self._buffer, self._length = b"", -1
            if self.stopped:
                self._transport.close()
            else:
                self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            if exc is None and self.stopped:
                self._done.set_result(None)
            else:
                self._done.set_exception(exc or ConnectionError("the service closed the connection"))

    def _ask(self) -> None:
        self._asked = perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1

    def _fail(self, error: Exception) -> None:
        self._done.set_exception(error)
        self._transport.close()


async def call(
    port: int, requests: Sequence[bytes], seconds: float, *, connections: int = CONNECTIONS
) -> tuple[list[float], float]:
    """Ask over several connections for so long: every answer's seconds, and those it all took."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    ended = [loop.create_future() for _ in range(connections)]
    started = perf_counter()
    callers = []
    for number, done in enumerate(ended):
        offset = number * len(requests) // connections
        _, caller = await loop.create_connection(
            lambda offset=offset, done=done: Caller(requests, offset, times, done), "127.0.0.1", port
        )
        callers.append(caller)
    await asyncio.sleep(seconds)
    for caller in callers:
        caller.stopped = True
    await asyncio.gather(*ended)
    return times, perf_counter() - started


def _client(port: int, seconds: float, requests: dict[str, list[bytes]], orders: Connection) -> None:
    import uvloop  # noqa: PLC0415 - only here

    while (name := orders.recv()) is not None:
        times, wall = uvloop.run(call(port, requests[name], seconds))
        orders.send(Figures.of(times, wall))


def measure_endpoints(
    releases: Path, requests: Mapping[str, list[bytes]], *, rounds: int = ROUNDS, seconds: float = SECONDS
) -> dict[str, dict[str, float]]:
    """Every endpoint's figures, medians over the rounds, and its quotients to the empty one in the same round.

    Args:
        releases: the folder that is served.
        requests: by the endpoint's name; a caller goes through them in turn.
        rounds: of which each endpoint has a turn in.
        seconds: of a turn.
    """
    every = {"empty": [get("/empty")], **requests}
    command = [sys.executable, "-m", "tests.bench.calling", str(releases)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "IRGAN_STORE": f"sqlite:///{releases.parent / 'irgan.db'}"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline().rpartition(":")[2])
            told = _rounds(port, every, rounds, seconds)
        finally:
            server.terminate()
    endpoints: dict[str, dict[str, float]] = {
        name: {field: round(statistics.median(getattr(f, field) for f in told[name]), 3) for field in ("rate", "p50", "p99")}
        for name in told
    }
    for name in requests:
        pairs = list(zip(told[name], told["empty"], strict=True))
        endpoints[name]["rate_ratio"] = round(statistics.median(mine.rate / empty.rate for mine, empty in pairs), 3)
        endpoints[name]["p99_ratio"] = round(statistics.median(mine.p99 / empty.p99 for mine, empty in pairs), 3)
    return endpoints


def _rounds(port: int, requests: dict[str, list[bytes]], rounds: int, seconds: float) -> dict[str, list[Figures]]:
    context = multiprocessing.get_context("spawn")
    told: dict[str, list[Figures]] = {name: [] for name in requests}
    mine, theirs = context.Pipe()
    client = context.Process(target=_client, args=(port, seconds, requests, theirs), daemon=True)
    client.start()
    theirs.close()
    for number in range(rounds + 1):
        for name, figures_of_rounds in told.items():
            mine.send(name)
            figures: Figures = mine.recv()
            if number:  # the first round warms up
                figures_of_rounds.append(figures)
    mine.send(None)
    client.join()
    return told


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
