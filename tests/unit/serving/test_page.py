"""The page at ``/`` in a browser."""

import base64
import re
from pathlib import Path

import pytest

from paddle_automl.serving import page as served
from tests.browser import browser
from tests.unit.serving.conftest import running

WORDS = served.FOLDER / "words.js"
DONE = "document.querySelectorAll('#results .result').length"


@pytest.fixture(scope="module")
def english():
    with browser() as found:
        yield found


def url(server):
    return f"http://127.0.0.1:{server.port}/"


def handed(kind: str, content: bytes) -> str:
    """Return a script that drops or pastes a file."""
    events = {
        "paste": "ClipboardEvent('paste', {clipboardData: it})",
        "drop": "DragEvent('drop', {dataTransfer: it})",
    }
    return f"""{{
        const bytes = Uint8Array.from(atob("{base64.b64encode(content).decode()}"), (it) => it.charCodeAt(0));
        const it = new DataTransfer();
        it.items.add(new File([bytes], "{kind}.png", {{type: "image/png"}}));
        document.dispatchEvent(new {events[kind]});
    }}"""


def test_files_samples_drop_paste_and_camera(server, predictor, english, png, tmp_path):
    expected = predictor.predict(png)[0]
    file = tmp_path / "雏菊 1.png"
    file.write_bytes(png)
    with english.page(url(server)) as page:
        page.wait("document.querySelectorAll('#sample-list button').length > 0")
        assert page.text("h1") == "flowers"
        assert page.wait("document.querySelector('.state').innerText") == "ready"
        assert "classification · 3 classes" in page.text("#facts")

        page.choose("#file", file)
        page.wait(f"{DONE} === 1")
        assert page.text(".answer") == expected.label
        assert "雏菊 1.png" in page.text(".result")
        shares = page.run("[...document.querySelectorAll('.value')].map((it) => it.innerText)")
        assert shares[0] == f"{100 * expected.probability:.1f}%"
        width = page.run("parseFloat(document.querySelector('.fill').style.width)")
        assert width == pytest.approx(100 * expected.probability, abs=0.01)

        page.click("#sample-list button")
        page.wait(f"{DONE} === 2")
        page.run(handed("paste", png))
        page.wait(f"{DONE} === 3")
        page.run(handed("drop", png))
        page.wait(f"{DONE} === 4")
        assert "drop.png" in page.text(".result")

        page.click("#camera-on")
        page.wait("document.getElementById('video').videoWidth > 0")
        page.click("#shoot")
        page.wait(f"{DONE} === 5")
        page.click("#camera-off")
        assert page.run("document.getElementById('camera').hidden")

        page.click("#clear")
        assert page.run(DONE) == 0
        assert (page.external, page.errors) == ([], [])


def test_what_cannot_be_read_gets_its_reason(server, english, png, tmp_path):
    wrong, right = tmp_path / "notes.png", tmp_path / "a.png"
    wrong.write_bytes(b"no image")
    right.write_bytes(png)
    with english.page(url(server)) as page:
        page.wait("info !== null && !document.getElementById('files').hidden")
        page.choose("#file", wrong, right)
        page.wait(f"{DONE} === 2")
        assert "is not an image in a known format" in page.text(".result .problem")
        page.choose("#file", wrong)
        page.wait("!document.getElementById('problem').hidden")
        assert "not answered: image: is not an image in a known format" in page.text("#problem")


def test_labels_and_numbers(labels, numbers, english, png, tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(png)
    with running(labels) as server, english.page(url(server)) as page:
        page.wait("info !== null && !document.getElementById('files').hidden")
        page.choose("#file", file)
        page.wait(f"{DONE} === 1")
        chips = page.run("[...document.querySelectorAll('.answer .chip')].map((it) => it.innerText)")
        assert chips == (list(labels.predict(png)[0].answer.labels) or ["no label applies"])
        assert page.run("document.querySelectorAll('.fill').length") == 3
    with running(numbers) as server, english.page(url(server)) as page:
        page.wait("info !== null && !document.getElementById('files').hidden")
        page.choose("#file", file)
        page.wait(f"{DONE} === 1")
        assert re.search(r"price [\d,.]+ [\d,.-]+ to [\d,.]+", page.text(".result"))


def test_a_token_is_asked_for_once(predictor, english, png):
    with running(predictor, token="secret") as server, english.page(url(server)) as page:
        page.wait("document.getElementById('ask-token').open")
        for word in ("wrong", "secret"):
            page.run(f"document.getElementById('token').value = '{word}'")
            page.click("#token-ok")
            page.wait("info !== null || document.getElementById('ask-token').open")
        page.wait("document.querySelectorAll('#sample-list button').length > 0")
        page.click("#sample-list button")
        page.wait(f"{DONE} === 1")


def test_the_page_speaks_chinese(server):
    with browser("zh-CN") as chinese, chinese.page(url(server)) as page:
        page.wait("document.querySelectorAll('#sample-list button').length > 0")
        assert "将图片拖到这里" in page.text("#drop")
        assert "分类 · 3 个类别" in page.text("#facts")
        assert page.run("document.documentElement.lang") == "zh"


def test_both_languages_have_the_same_words():
    text = WORDS.read_text(encoding="utf-8")
    english, chinese = (set(re.findall(r"(\w+): \"", part)) for part in text.split("zh: {"))
    assert english == chinese
    for name in Path(served.FOLDER / "page.js").read_text(encoding="utf-8").split('say("')[1:]:
        assert name.partition('"')[0] in english


def test_files_of_the_page_are_those_it_names(server):
    page = server.get("/").body.decode()
    named = set(re.findall(r'"/static/([\w.]+)"', page))
    assert named == set(served.FILES)
    for name in named:
        assert server.get(f"/static/{name}").status == 200
    assert server.get("/static/__init__.py").status == 404
    assert not re.search(r"https?://", page)


def test_samples_are_served_by_number_only(server):
    assert server.get("/samples/0").headers["content-type"] == "image/png"
    # Python refuses to read thousands of digits, zeros in front among them.
    for number in ("99", "-1", "x", "0/../../bundle.yaml", "1" * 5000, "0" * 5000, "%C2%B2"):
        answer = server.get(f"/samples/{number}")
        assert answer.status == 404
        assert answer.error
