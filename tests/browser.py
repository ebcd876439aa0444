"""Chromium without a screen, driven over its DevTools protocol: pages are opened, used and looked at.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--remote-debugging-port=0",
)  # fmt: skip
WAIT_S = 60.0
"""Longest time for anything on a busy machine."""
LOCAL = ("data:", "blob:", "file:", "about:", "chrome:", "devtools:")


def chromium() -> str:
    """Return the program; skips the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    return found


@contextmanager
def browser(language: str = "en-US", size: tuple[int, int] = (1100, 760)) -> Iterator[Browser]:
    """Start a browser of a language with an empty profile; it ends with the context."""
    pytest.importorskip("websockets", reason="the package websockets is not installed")
    program = chromium()
    folder = Path(tempfile.mkdtemp(prefix="browser-"))
    words = [program, *FLAGS, f"--user-data-dir={folder}", f"--window-size={size[0]},{size[1]}"]
    words += [f"--lang={language}", f"--accept-lang={language}", "about:blank"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Browser(_port(folder / "DevToolsActivePort", process))
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(file.read_text().splitlines()[0])
        time.sleep(0.05)
    raise AssertionError("Chromium did not start")


class Browser:
    """A running browser."""

    def __init__(self, port: int) -> None:
        self.port = port

    @contextmanager
    def page(self, url: str) -> Iterator[Page]:
        """Open a page in a tab of its own."""
        from websockets.sync.client import connect

        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            address = json.load(answer)["webSocketDebuggerUrl"]
        with connect(address, max_size=100_000_000, proxy=None) as socket:
            page = Page(socket)
            page.open(url)
            yield page


class Page:
    """One tab: what it asked the network for, and the errors of its scripts."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._number = socket, 0
        self.requests: list[str] = []
        self.errors: list[str] = []
        for domain in ("Network", "Page", "Runtime", "Log", "DOM"):
            self.call(f"{domain}.enable")

    @property
    def external(self) -> list[str]:
        """Return the addresses asked for that are not on this machine."""
        own = ("http://127.0.0.1", "http://localhost", "http://[::1]", *LOCAL)
        return [url for url in self.requests if not url.startswith(own)]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._number += 1
        number = self._number
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=WAIT_S))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def open(self, url: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Return the value of an expression, of a promise when it is kept."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str) -> Any:
        """Return the value of an expression as soon as it is true."""
        end = time.monotonic() + WAIT_S
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"still not true: {script}"
            time.sleep(0.05)
        return value

    def text(self, selector: str = "body") -> str:
        """Return the visible text of the first element."""
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def click(self, selector: str) -> None:
        """Click the first element."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def choose(self, selector: str, *files: Path) -> None:
        """Choose files in a file field."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def screenshot(self, file: Path) -> Path:
        """Write a picture (PNG) of what is visible."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
        return file

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif message.get("method") == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
