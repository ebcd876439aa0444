"""The report and VisualDL's pages in a browser: readable, and asking nobody else for anything."""

import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from paddle_automl.reporting.document import Report
from tests.e2e.chromium import needs_chromium, printed, screenshot, visit
from tests.e2e.conftest import ROOT
from tests.unit.reporting import materials

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module", params=["en", "zh"])
def page(request, tmp_path_factory):
    """A report of everything, with a class whose name is a script."""
    names = ("<script>document.title='taken'</script>", "狗", "cow")
    found = materials.answers(names, place="x'\"><script>document.title='taken'</script>").model_dump(mode="json")
    material = materials.whole(names=names, answers=found, name="photos <b>of</b> animals")
    report = Report(request.param)
    report.write(material)
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(report.as_page(material), encoding="utf-8")
    return file


def test_the_report_is_shown_without_the_network(page, tmp_path):
    found = visit(page.as_uri(), tmp_path, 3000)
    assert found.hosts == frozenset()
    assert "<title>photos &lt;b&gt;of&lt;/b&gt; animals" in found.dom
    assert "<script" not in found.dom.lower()


def test_every_drawing_of_the_report_is_drawn(page, tmp_path):
    # In a copy a script looks at the pictures; the page itself may not have one.
    text = page.read_text(encoding="utf-8").replace("default-src 'none'", "default-src 'unsafe-inline'")
    widths = "[...document.images].map(image => image.naturalWidth).join()"
    look = f"<script>addEventListener('load', () => {{document.title = {widths}}})</script>"
    copy = tmp_path / "copy.html"
    copy.write_text(text.replace("</body>", f"{look}</body>"), encoding="utf-8")
    title = visit(copy.as_uri(), tmp_path, 5000).dom.partition("<title>")[2].partition("</title>")[0]
    found = [int(width) for width in title.split(",")]
    assert len(found) >= 8
    assert min(found) > 100


def test_the_report_is_not_wider_than_a_small_window(page, tmp_path):
    picture = tmp_path / "small.png"
    screenshot(page.as_uri(), picture, (500, 3000))
    pixels = np.asarray(Image.open(picture).convert("L"))
    assert pixels.shape[1] == 500
    assert (pixels < 128).mean() > 0.005
    # The right margin is empty: nothing is cut off.
    assert (pixels[:, -8:] > 230).mean() > 0.98


def test_the_report_prints(page, tmp_path):
    file = tmp_path / "report.pdf"
    printed(page.as_uri(), file)
    content = file.read_bytes()
    assert content.startswith(b"%PDF")
    assert (
        3 <= content.count(b"/Type /Page\n") + content.count(b"/Type /Page/") + content.count(b"/Type/Page/") <= 20
    )


@contextmanager
def watching(output):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(ROOT / "tools/watch.py"), str(output), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/app/index", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, process.stdout.read()
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/app"
    finally:
        process.send_signal(2)
        assert process.wait(30) == 0


def test_visualdl_shows_a_search_and_asks_nobody_else(searched, tmp_path):
    _, output, ran = searched
    assert ran.code == 0, ran.err
    expected = {
        "scalar": ("accuracy", "trial_0000"),
        "sample/image": ("augmented training batch", "mistakes (test)"),
        "hyper-parameter": ("learning_rate", "backbone"),
        "pr-curve": ("precision and recall (test)",),
    }
    with watching(output) as address:
        for number, (name, texts) in enumerate(expected.items()):
            folder = tmp_path / str(number)
            folder.mkdir()
            found = visit(f"{address}/{name}", folder, 20_000)
            assert found.hosts <= {"127.0.0.1"}, found.hosts
            for text in texts:
                assert text in found.dom, (name, text)
        graphs = urllib.request.urlopen(f"{address}/api/graph_runs", timeout=20).read()
        assert b"network" in graphs
