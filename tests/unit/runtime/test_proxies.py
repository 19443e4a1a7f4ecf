"""This machine's own servers are not asked through a proxy."""

from __future__ import annotations

import urllib.request

import httpx
import pytest
import requests

from sightline.runtime.proxies import without_proxy


@pytest.mark.parametrize("given", [{}, {"no_proxy": "intra.example"}, {"NO_PROXY": "intra.example, other.example"}])
def test_local_addresses_are_asked_directly_and_others_as_before(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    environment = {"http_proxy": "http://proxy.example:3128", **given}
    for name, value in {**environment, **without_proxy(environment)}.items():
        monkeypatch.setenv(name, value)
    for address in ("http://127.0.0.1:5000/", "http://localhost:4200/api", "http://[::1]:3000/"):
        assert requests.utils.get_environ_proxies(address, no_proxy=None) == {}, address
        assert not urllib.request.proxy_bypass("outside.example")
    assert urllib.request.proxy_bypass("127.0.0.1")
    assert requests.utils.get_environ_proxies("http://outside.example", no_proxy=None)
    if given:
        assert not requests.utils.get_environ_proxies("http://intra.example", no_proxy=None)
    with httpx.Client() as client:
        assert client._transport_for_url(httpx.URL("http://127.0.0.1:1/")) is client._transport
        assert client._transport_for_url(httpx.URL("http://outside.example/")) is not client._transport
