"""The keys that count, in memory, following the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from hmac import compare_digest

from app.store import KeyRecord, Keys
from app.store.keys import digest_of

logger = logging.getLogger(__name__)

_NOBODY = bytes(32)


class LiveKeys:
    """Follows the keys of a store; a request looks nothing up but memory.

    Once keys were seen, this process asks for keys as long as it lives, whatever becomes of the store: a lost or replaced one opens nothing.

    Args:
        keys: of the store.
        may_be_open: whether everybody is answered where no key was ever made.
        is_open: whether everybody is answered as long as the store could not be read.

    Attributes:
        is_known: whether the store has been read.
        is_open: whether everybody is answered now.
    """

    def __init__(self, keys: Keys, *, may_be_open: bool, is_open: bool) -> None:
        self._keys = keys
        self._may_be_open = may_be_open
        self._by_digest: Mapping[bytes, KeyRecord] = {}
        self._complaint = ""
        self.is_known = False
        self.is_open = is_open

    @property
    def is_followed(self) -> bool:
        """Whether the store could be read when it was tried last."""
        return self.is_known and not self._complaint

    def find(self, key: bytes) -> KeyRecord | None:
        """The record of a key that counts: one that exists, is not revoked and has not expired.

        What is looked up and compared is the key's hash, in constant time: how long it takes tells nothing of any other key.
        """
        digest = digest_of(key)
        record = self._by_digest.get(digest)
        is_it = compare_digest(digest, _NOBODY if record is None else record.digest)
        if record is None or not is_it or (record.expires is not None and record.expires <= datetime.now(UTC)):
            return None
        return record

    def follow(self) -> None:
        """Take over what the store says; where it cannot be read, that is logged once and what was known goes on counting."""
        try:
            records = self._keys.all()
        except Exception as error:  # whatever is wrong, the watch goes on
            reason = f"{type(error).__name__}: {error}"
            if reason != self._complaint:  # once, not at every try
                logger.error("keys cannot be followed: %s", reason)
            self._complaint = reason
            return
        self._complaint = ""
        self._by_digest = {record.digest: record for record in records if record.revoked is None}
        was_asking = self.is_known and not self.is_open
        self.is_open = self._may_be_open and not records and not was_asking
        self.is_known = True

    async def watch(self, seconds: float) -> None:
        """Follow every so many seconds, beside the event loop; ends when cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.follow)
