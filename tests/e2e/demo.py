"""From ratings to answers over HTTP, by the same commands that a person would type: `make demo`.

Everything it makes stays: bundles in `bundles/`, the comparison in `reports/demo/`, the release in `$IRGAN_RELEASES` (by default
`releases/`), from where `make serve` goes on serving it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DATA = "movielens-100k"
RANKERS = ("popularity", "ials", "ease", "irgan", "irgan-history")
CHAMPION = "irgan-history"
THREE_TITLES = ("Toy Story", "Aladdin", "Lion King, The")

_IRGAN = str(Path(sys.executable).with_name("irgan"))
_START_SECONDS = 30


def main() -> int:
    """Run the demonstration; 0 if every step worked."""
    started = time.monotonic()
    releases = os.environ.get("IRGAN_RELEASES", "releases")
    heading(f"1. Data: {DATA}")
    irgan("data", "fetch", DATA)
    heading("2. Training: IRGAN, and what it has to beat")
    bundles = [_train(ranker) for ranker in RANKERS]
    heading("3. Comparison on the paper's test part")
    irgan("compare", *bundles, "--baseline", "ease", "--metric", "nDCG@10", "--output", "reports/demo")
    heading("4. Publishing and serving")
    irgan("publish", bundles[RANKERS.index(CHAMPION)], "--releases", releases)
    with service(releases) as address:
        _ask(address)
    heading(f"Done in {time.monotonic() - started:.0f} s")
    say("The report: reports/demo/report.html. To keep the service up: make serve")
    return 0


def _train(ranker: str) -> str:
    outcome = json.loads(irgan("train", ranker, "--data", DATA, "--split", "paper", "--json", quiet=True))
    figures = outcome["metrics"]["paper"]
    shown = "  ".join(f"{name} {figures[name]:.4f}" for name in ("P@5", "nDCG@10", "AP", "RR"))
    say(f"{ranker:<14} {outcome['seconds']:6.1f} s   {shown}")
    bundle: str = outcome["bundle"]
    return bundle


def _ask(address: str) -> None:
    answer = get(f"{address}/v1/recommendations/196?k=5")
    _show("For user 196, whom the ranker knows", answer)
    history = [{"item": _find(address, title), "rating": 5} for title in THREE_TITLES]
    answer = get(f"{address}/v1/recommendations", {"history": history, "k": 5})
    _show(f"For somebody never seen, who liked {'; '.join(THREE_TITLES)}", answer)
    answer = get(f"{address}/v1/items/{history[0]['item']}/similar?k=5")
    _show(f"Items like {THREE_TITLES[0]}", answer)


def _find(address: str, title: str) -> str:
    """The id of a title, from the catalogue's own answers: the demonstration knows no ids by heart."""
    everything = get(f"{address}/v1/recommendations", {"k": 1000, "exclude_seen": False})["items"]
    return next(item["id"] for item in everything if item["title"].startswith(title))


def _show(question: str, answer: dict[str, Any]) -> None:
    say(f"\n{question} ({answer['ranker']}, release {answer['release']}):")
    for item in answer["items"]:
        say(f"  {item['rank']}. {item['title']}  ({item['score']:.3f})")


@contextmanager
def service(releases: str, *options: str) -> Iterator[str]:
    """`irgan serve` on a free port of loopback, stopped at the end."""
    command = [_IRGAN, "serve", "--host", "127.0.0.1", "--port", "0", "--releases", releases, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield _address(process)
        finally:
            process.terminate()
            process.wait(timeout=_START_SECONDS)


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None and process.stderr is not None
    line = process.stdout.readline()
    start = line.find("http://")
    if start < 0:
        process.terminate()
        raise SystemExit(f"the service did not start: {line}{process.stderr.read()}")
    address = line[start:].split()[0].rstrip("/")
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            get(f"{address}/health/ready")
        except OSError:
            time.sleep(0.1)
        else:
            say(f"ready at {address}")
            return address
    raise SystemExit(f"the service at {address} is not ready after {_START_SECONDS} s")


def get(url: str, body: dict[str, Any] | None = None, *, method: str | None = None) -> Any:
    """The JSON that the service answers: to GET, or to POST where there is a body, unless another method is asked for."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def irgan(*arguments: str, quiet: bool = False) -> str:
    """Run one command; progress goes to the person, the answer comes back."""
    if not quiet:
        say(f"$ irgan {' '.join(arguments)}")
    finished = subprocess.run(
        [_IRGAN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE if quiet else None, text=True, check=False
    )
    if finished.returncode:
        sys.stderr.write(finished.stderr or "")
        raise SystemExit(f"irgan {' '.join(arguments)} ended with exit code {finished.returncode}")
    if not quiet:
        say(finished.stdout.rstrip())
    return finished.stdout


def heading(text: str) -> None:
    """Begin a part."""
    say(f"\n── {text}")


def say(text: str) -> None:
    """Tell the person."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
