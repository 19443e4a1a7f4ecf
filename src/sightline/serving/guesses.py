"""A brake on guessing the token."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import TypeVar

T = TypeVar("T")

GUESSES, GUESS_S = 20, 3.0
"""Wrong tokens that an address may send at once, and the seconds after which it may send one more."""

_REMEMBERED = 4096


class Guesses:
    """A brake on guessing the token, for each address; the memory that it takes is bounded.

    An address that has sent the right one before is not kept out by the wrong ones of others behind it.

    Args:
        now_s: a clock.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._free_at_s: OrderedDict[str, float] = OrderedDict()  # when an address may send all GUESSES again
        self._known: OrderedDict[str, None] = OrderedDict()

    def allows(self, address: str, right: bool) -> bool:
        """Whether a token of an address may be looked at; wrong ones are counted."""
        address = _network_of(address)
        now_s = self._now_s()
        free_at_s = max(self._free_at_s.get(address, now_s), now_s)
        full = free_at_s - now_s > (GUESSES - 1) * GUESS_S
        if right and (address in self._known or not full):
            _remember(self._known, address, None)
            return True
        if not full:
            _remember(self._free_at_s, address, free_at_s + GUESS_S)
        return not full


def _remember(known: OrderedDict[str, T], address: str, value: T) -> None:
    known[address] = value
    known.move_to_end(address)
    if len(known) > _REMEMBERED:
        known.popitem(last=False)


def _network_of(address: str) -> str:
    """The network that one user of IPv6 has; an address of IPv4 as it is."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
