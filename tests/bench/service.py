"""How fast one worker of the service answers, beside an empty JSON endpoint of the same process, asked by the same client.

`python -m tests.bench.service [--json]`: a made-up ranker of 20,000 items × 64 dimensions with a table of users and a flat index. A
second process asks over 16 connections kept open. The endpoints take turns for several rounds, and the figure of a round is the
quotient of neighbours, so that whatever else the machine does weighs on both.

The empty endpoint is what FastAPI gives everybody: one function that returns `{}`, under the same server settings.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

NUM_ITEMS, DIM, NUM_USERS, HISTORY = 20_000, 64, 2_000, 20
CONNECTIONS, ROUNDS, SECONDS = 16, 5, 2.0
TARGET_RATE, TARGET_P99 = 0.5, 3.0


def write_release(folder: Path) -> Path:
    """A folder of releases with the bundle in its champion slot."""
    import faiss  # noqa: PLC0415 - the client has no use for it
    import numpy as np  # noqa: PLC0415 - likewise

    from app.bundle import Histories, IndexInfo, VectorModel, write_bundle  # noqa: PLC0415 - likewise
    from app.releases import ReleaseStore  # noqa: PLC0415 - likewise
    from tests.conftest import make_draft  # noqa: PLC0415 - likewise

    rng = np.random.default_rng(0)
    draft = make_draft(num_items=NUM_ITEMS, dim=DIM, num_users=NUM_USERS)
    had = [rng.choice(NUM_ITEMS, size=HISTORY, replace=False).tolist() for _ in range(NUM_USERS)]
    model = VectorModel(
        item_vectors_ID=draft.model.item_vectors_ID,
        encoder=draft.model.encoder,
        policy=draft.model.policy,
        user_vectors_UD=rng.normal(size=(NUM_USERS, DIM)).astype(np.float32),
    )
    index = faiss.IndexFlatIP(DIM)
    index.add(model.item_vectors_ID)
    made = replace(
        draft,
        model=model,
        seen=Histories.of(had),
        index=index,
        index_info=IndexInfo(factory="Flat", recall_at_100=1.0, num_queries=NUM_USERS),
    )
    ReleaseStore(folder / "releases").publish(write_bundle(made, folder / "drafts"), "champion")
    return folder / "releases"


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


def requests_by_name() -> dict[str, list[bytes]]:
    """The requests, ready to be sent; a caller goes through them in turn."""
    rng = random.Random(0)

    def get(path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n".encode()

    def post(path: str, body: dict[str, Any]) -> bytes:
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        return head.encode() + content

    def history() -> dict[str, Any]:
        return {"history": [{"item": f"i{row}", "rating": 5} for row in rng.sample(range(NUM_ITEMS), 10)]}

    return {
        "empty": [get("/empty")],
        "user": [get(f"/v1/recommendations/u{rng.randrange(NUM_USERS)}") for _ in range(1000)],
        "history": [post("/v1/recommendations", history()) for _ in range(1000)],
        "filtered": [get(f"/v1/recommendations/u{rng.randrange(NUM_USERS)}?filter=year%3E%3D1990") for _ in range(1000)],
        "similar": [get(f"/v1/items/i{rng.randrange(NUM_ITEMS)}/similar") for _ in range(1000)],
    }


class Caller(asyncio.Protocol):
    """One connection that sends the next request as soon as it has the answer to the last."""

    def __init__(self, requests: list[bytes], offset: int, seconds: list[float], done: asyncio.Future[None]) -> None:
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


async def _call(port: int, requests: list[bytes], seconds: float) -> tuple[list[float], float]:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    ended = [loop.create_future() for _ in range(CONNECTIONS)]
    started = perf_counter()
    callers = []
    for number, done in enumerate(ended):
        offset = number * len(requests) // CONNECTIONS
        _, caller = await loop.create_connection(
            lambda offset=offset, done=done: Caller(requests, offset, times, done), "127.0.0.1", port
        )
        callers.append(caller)
    await asyncio.sleep(seconds)
    for caller in callers:
        caller.stopped = True
    await asyncio.gather(*ended)
    return times, perf_counter() - started


def _client(port: int, seconds: float, orders: Connection) -> None:
    import uvloop  # noqa: PLC0415 - only here

    requests = requests_by_name()
    while (name := orders.recv()) is not None:
        times, wall = uvloop.run(_call(port, requests[name], seconds))
        times.sort()
        orders.send(
            Figures(
                rate=len(times) / wall,
                p50=times[len(times) // 2] * 1e3,
                p99=times[min(len(times) - 1, int(len(times) * 0.99))] * 1e3,
            )
        )


def measure(*, rounds: int = ROUNDS, seconds: float = SECONDS) -> dict[str, Any]:
    """Every endpoint's figures, medians over the rounds, and its quotients to the empty one in the same round."""
    with tempfile.TemporaryDirectory() as folder:
        releases = write_release(Path(folder))
        command = [sys.executable, "-m", "tests.bench.service", "--serve", str(releases)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as server:
            assert server.stdout is not None
            try:
                port = int(server.stdout.readline().rpartition(":")[2])
                told = _rounds(port, rounds, seconds)
            finally:
                server.terminate()
    names = [name for name in told if name != "empty"]
    endpoints: dict[str, Any] = {
        name: {field: round(statistics.median(getattr(f, field) for f in told[name]), 3) for field in ("rate", "p50", "p99")}
        for name in told
    }
    for name in names:
        pairs = list(zip(told[name], told["empty"], strict=True))
        endpoints[name]["rate_ratio"] = round(statistics.median(mine.rate / empty.rate for mine, empty in pairs), 3)
        endpoints[name]["p99_ratio"] = round(statistics.median(mine.p99 / empty.p99 for mine, empty in pairs), 3)
    return {
        "items": NUM_ITEMS,
        "dimensions": DIM,
        "connections": CONNECTIONS,
        "rounds": rounds,
        "endpoints": endpoints,
        "targets_met": endpoints["user"]["rate_ratio"] >= TARGET_RATE and endpoints["user"]["p99_ratio"] <= TARGET_P99,
    }


def _rounds(port: int, rounds: int, seconds: float) -> dict[str, list[Figures]]:
    context = multiprocessing.get_context("spawn")
    told: dict[str, list[Figures]] = {name: [] for name in requests_by_name()}
    mine, theirs = context.Pipe()
    client = context.Process(target=_client, args=(port, seconds, theirs), daemon=True)
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each endpoint in each round")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    told = measure(rounds=options.rounds, seconds=options.seconds)
    if options.json:
        print(json.dumps(told))
        return
    print(f"{NUM_ITEMS:,} items × {DIM} dimensions, one worker, {CONNECTIONS} connections, medians of {told['rounds']} rounds")
    print(f"{'endpoint':<10}{'requests/s':>12}{'of empty':>10}{'p50 ms':>9}{'p99 ms':>9}{'× empty':>9}")
    for name, row in told["endpoints"].items():
        share = f"{row['rate_ratio']:.0%}" if "rate_ratio" in row else ""
        times = f"{row['p99_ratio']:.2f}" if "p99_ratio" in row else ""
        print(f"{name:<10}{row['rate']:>12,.0f}{share:>10}{row['p50']:>9.2f}{row['p99']:>9.2f}{times:>9}")
    print(
        f"wanted of user: at least {TARGET_RATE:.0%} of the empty endpoint's requests/s, p99 at most {TARGET_P99:.0f} times its own"
    )


if __name__ == "__main__":
    main()
