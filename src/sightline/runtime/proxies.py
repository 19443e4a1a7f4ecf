"""Proxies: what runs on this machine is never asked through one, whatever `http_proxy` says."""

from __future__ import annotations

from collections.abc import Mapping

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def without_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that keep this machine's own servers from being asked through a proxy; other hosts stay as set.

    Programs read the name in small letters or in capitals, so both are given.
    """
    listed = ",".join(environment.get(name, "") for name in ("no_proxy", "NO_PROXY"))
    hosts = [host for part in listed.split(",") if (host := part.strip())]
    value = ",".join(dict.fromkeys([*hosts, *LOOPBACK]))
    return {"no_proxy": value, "NO_PROXY": value}
