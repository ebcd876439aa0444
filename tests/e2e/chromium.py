"""A headless Chromium for tests of pages: what it makes of a page, and what it asks other machines for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

PROGRAM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
needs_chromium = pytest.mark.skipif(not PROGRAM, reason="needs Chromium (apt-get install chromium)")


@dataclass(frozen=True)
class Visit:
    """A page after its scripts have run: its elements as text, and the hosts that were asked for something."""

    dom: str
    hosts: frozenset[str]


def visit(url: str, folder: Path, wait_ms: int = 0, *flags: str) -> Visit:
    """Open a page in a new browser; its scripts get `wait_ms` of the browser's own time."""
    log = folder / "network.json"
    more = [f"--virtual-time-budget={wait_ms}"] if wait_ms else []
    done = _run(folder, *more, *flags, f"--log-net-log={log}", "--dump-dom", url)
    return Visit(done, _hosts(log))


def screenshot(url: str, file: Path, size: tuple[int, int], wait_ms: int = 0) -> None:
    """Write a picture of a page."""
    more = [f"--virtual-time-budget={wait_ms}"] if wait_ms else []
    _run(file.parent, *more, f"--window-size={size[0]},{size[1]}", f"--screenshot={file}", url)


def printed(url: str, file: Path) -> None:
    """Write a page as it is printed, as PDF."""
    _run(file.parent, f"--print-to-pdf={file}", "--no-pdf-header-footer", url)


def _run(folder: Path, *words: str) -> str:
    profile = folder / "profile"
    command = [PROGRAM, *FLAGS, f"--user-data-dir={profile}", *words]
    done = subprocess.run(
        command, capture_output=True, timeout=120, check=True, env={**os.environ, "LANG": "en_US"}
    )
    shutil.rmtree(profile, ignore_errors=True)
    return done.stdout.decode("utf-8", "replace")


def _hosts(log: Path) -> frozenset[str]:
    """Return the hosts that the page asked, from Chromium's log."""
    text = log.read_text(encoding="utf-8", errors="replace")
    try:
        events = json.loads(text)["events"]
    except ValueError:
        # The browser ended before it closed the list.
        events = json.loads(text.rstrip().rstrip(",") + "]}")["events"]
    # What the browser asks for by itself, such as its own updates, has no origin.
    own = "not an origin"
    asked = (event.get("params", {}) for event in events)
    split = (urlsplit(item["url"]) for item in asked if "url" in item and item.get("initiator", own) != own)
    return frozenset(part.hostname or "" for part in split if part.scheme in ("http", "https", "ws", "wss"))
