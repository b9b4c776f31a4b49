"""How many requests one caller may send: a bucket of tokens for each, of which a request takes one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from ipaddress import IPv6Address
from time import monotonic

_CALLERS = 10_000
"""Callers remembered; beyond, who has not asked for longest begins anew."""
_NETWORK = 64
"""Bits of an IPv6 address that one customer of a provider has to itself are the others; these name the customer."""


class RateLimit:
    """Lets `rate` requests a second of each caller pass, and `burst` at once after a rest.

    Args:
        rate: tokens that come into a bucket per second.
        burst: tokens that it holds.
        clock: seconds; for tests.
    """

    def __init__(self, rate: float, burst: float, *, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, caller: Hashable) -> float:
        """Take a token; returns 0, or, where there is none, the seconds until there will be."""
        now = self._clock()
        tokens, since = self._buckets.pop(caller, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[caller] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > _CALLERS:
            self._buckets.popitem(last=False)
        return wait


def caller_of(address: str) -> str:
    """Whom an address stands for: itself, or of IPv6 its network, in which one machine can take any address."""
    if ":" not in address:
        return address
    try:
        number = int(IPv6Address(address.partition("%")[0]))
    except ValueError:
        return address
    return f"{number >> (128 - _NETWORK):x}/64"
