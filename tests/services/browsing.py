"""A real browser, and a page in it that notes what goes wrong."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.services.endpoint_process import Running


def open_browser(*options: str) -> Iterator[Any]:
    """The system's Chromium; tests that ask for it are skipped where there is none."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                *options,
            ],
        )
        yield opened
        opened.close()


class Tab:
    """A page that notes errors, what it asks of other hosts, and what the policy of the page refused."""

    def __init__(self, browser: Any, server: Running) -> None:
        self.page = browser.new_page()
        self.outside: list[str] = []
        self.errors: list[str] = []
        self.refused: list[str] = []
        own = f"http://127.0.0.1:{server.port}/"
        self.own = own
        self.page.on("request", lambda r: r.url.startswith((own, "data:", "blob:")) or self.outside.append(r.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda one: "Security Policy" in one.text and self.refused.append(one.text))

    def open(self, path: str) -> Any:
        self.page.goto(self.own + path)
        return self.page
