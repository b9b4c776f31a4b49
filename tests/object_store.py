"""A server on 127.0.0.1 that speaks S3, for tests of releases in an object store."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

BUCKET = "releases"


class ObjectStore:
    """An S3 server within this process; what is in its buckets outlives a stop.

    Attributes:
        url: of a prefix that nobody else uses.
    """

    def __init__(self) -> None:
        self._port = 0
        self._prefixes = count()
        self._filesystems: dict[tuple[str | None, ...], Any] = {}
        self.url = ""

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to reach it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "secret-of-tests",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }

    def filesystem(self, protocol: str, **options: Any) -> Any:
        """In place of `fsspec.filesystem`: one for all who find the same in the environment, since making one takes its time."""
        import fsspec  # noqa: PLC0415 - of the extra

        found = protocol, *(os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"))
        if found not in self._filesystems:
            self._filesystems[found] = fsspec.get_filesystem_class(protocol)(**options)
        return self._filesystems[found]

    def new_prefix(self) -> str:
        """Go to another prefix."""
        self.url = f"s3://{BUCKET}/{next(self._prefixes)}"
        return self.url

    def start(self) -> None:
        """Answer, on the same port as before."""
        from moto.server import ThreadedMotoServer  # noqa: PLC0415 - takes its time

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self._port, verbose=False)
        self._server.start()
        _, self._port = self._server.get_host_and_port()

    def stop(self) -> None:
        """Answer nobody."""
        self._server.stop()


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """The server with one bucket, while a block runs; skips where it is not installed."""
    pytest.importorskip("moto.server", reason="the S3 server of tests comes with the extra dev", exc_type=ImportError)
    pytest.importorskip("s3fs", reason="object stores need the extra s3")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ObjectStore()
    server.start()
    try:
        with pytest.MonkeyPatch.context() as patched:
            for name, value in server.environment.items():
                patched.setenv(name, value)
            import fsspec  # noqa: PLC0415 - of the extra

            fsspec.filesystem("s3", skip_instance_cache=True).mkdir(BUCKET)
        yield server
    finally:
        server.stop()
