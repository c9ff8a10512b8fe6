"""Headless Chromium, driven by chromedriver over the WebDriver protocol (W3C), with nothing but the standard library.

Elements are named by CSS selectors. Whatever is looked for is waited for, since pages build themselves in steps.
"""

from __future__ import annotations

import base64
import json
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from vmaild.demo.process import Process, ProcessError, free_port

CHROMEDRIVER = Path("/usr/bin/chromedriver")
CHROMIUM = Path("/usr/bin/chromium")

START_SECONDS = 30.0
WAIT_SECONDS = 30.0
"""How long a page may take until it shows what is looked for: seconds."""

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key of an element's id in every answer, from the WebDriver standard."""

_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,900",
)


class BrowserError(AssertionError):
    """The browser refused a command, or a page did not show what was looked for."""


class Browser:
    """One browser with a fresh profile below ``home``."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._url = f"http://127.0.0.1:{free_port()}"
        port = self._url.rpartition(":")[2]
        home.mkdir()
        self._process = Process([str(CHROMEDRIVER), f"--port={port}"], home / "chromedriver.log")
        self._session = ""

    def start(self) -> None:
        """Start both programs. Raises ``ProcessError`` when one is missing."""
        if not (CHROMEDRIVER.exists() and CHROMIUM.exists()):
            raise ProcessError("Chromium is missing; on Debian: apt-get install chromium chromium-driver")
        self._process.start(self._ready, START_SECONDS)
        options = {"binary": str(CHROMIUM), "args": [*_ARGUMENTS, f"--user-data-dir={self.home / 'profile'}"]}
        wanted = {"browserName": "chrome", "unhandledPromptBehavior": "accept", "goog:chromeOptions": options}
        answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{answer['sessionId']}"

    def close(self) -> None:
        """Stop both programs, and remove ``home``."""
        try:
            if self._session:
                self._call("DELETE", self._session)
        finally:
            self._process.stop()
            shutil.rmtree(self.home, ignore_errors=True)

    def open(self, url: str) -> None:
        """Go to a page and wait until it is loaded."""
        self._call("POST", f"{self._session}/url", {"url": url})

    @property
    def url(self) -> str:
        """The address of the page shown."""
        return str(self._call("GET", f"{self._session}/url"))

    def type(self, selector: str, text: str) -> None:
        """Replace what stands in a field."""
        element = self._find(selector)
        self._call("POST", f"{element}/clear", {})
        self._call("POST", f"{element}/value", {"text": text})

    def click(self, selector: str) -> None:
        """Click on an element."""
        self._call("POST", f"{self._find(selector)}/click", {})

    def text(self, selector: str) -> str:
        """The text that an element shows."""
        return str(self._call("GET", f"{self._find(selector)}/text"))

    def run(self, script: str, *arguments: object) -> Any:
        """What a piece of JavaScript returns in the page."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def wait_for(self, condition: str, *arguments: object) -> Any:
        """Wait until a JavaScript expression is true and return it; fails with the page's text."""
        give_up = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < give_up:
            try:
                value = self.run(f"return {condition}", *arguments)
            except BrowserError:
                # Between two pages there is no document to ask.
                value = None
            if value:
                return value
            time.sleep(0.1)
        raise BrowserError(f"never true: {condition}\n{self.url}\n{self.run('return document.body.innerText')}")

    def screenshot(self) -> bytes:
        """The page as it is seen, a PNG."""
        return base64.b64decode(self._call("GET", f"{self._session}/screenshot"))

    def emulate(self, width: int, height: int, *, dark: bool) -> None:
        """Show pages as on a screen of so many pixels, to somebody who prefers dark pages or light ones."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._devtools("Emulation.setDeviceMetricsOverride", screen)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", {"features": [scheme]})

    def _devtools(self, command: str, parameters: dict[str, Any]) -> None:
        self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _find(self, selector: str) -> str:
        # A page holds menus for other sizes of window too: the one that is seen is meant.
        seen = "[...document.querySelectorAll(arguments[0])].find(element => element.getClientRects().length)"
        found = self.wait_for(seen, selector)
        return f"{self._session}/element/{found[ELEMENT]}"

    def _ready(self) -> bool:
        try:
            return bool(self._call("GET", "/status")["ready"])
        except OSError:
            return False

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60.0) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise BrowserError(f"{method} {path}: {json.load(error)['value']['message']}") from None
