"""What the service's process does about garbage."""

from __future__ import annotations

import gc
from typing import Any

from app import serve as serving
from app.settings import Settings


def test_what_is_there_before_the_first_request_is_not_looked_through_again(tmp_path, monkeypatch):
    """A full collection over all that was imported stops the event loop for a tenth of a second; when the server runs, none does that."""
    found = {}

    class Server:
        def __init__(self, config: Any) -> None:
            self.config = config

        def run(self, sockets: Any) -> None:  # noqa: ARG002 - the server's signature
            found["frozen"], found["others"] = gc.get_freeze_count(), len(gc.get_objects())

    monkeypatch.setattr(serving, "_Server", Server)
    monkeypatch.setattr(serving.signal, "signal", lambda *_: None)
    monkeypatch.setattr(serving, "log_to_stderr", lambda *_: None, raising=False)
    monkeypatch.setattr(serving, "tell_crashes", lambda: None, raising=False)
    before = gc.get_freeze_count()
    try:
        serving.serve(Settings(releases=tmp_path / "releases", store=f"sqlite:///{tmp_path / 'irgan.db'}", port=0))
    finally:
        gc.unfreeze()
    assert found["frozen"] > before + 50_000
    assert found["others"] < 5_000
