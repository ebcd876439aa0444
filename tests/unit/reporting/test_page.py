"""The page: one file without scripts, whatever the data are called."""

import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from paddle_automl.reporting.document import Report, cell_text
from paddle_automl.reporting.words import Words
from paddle_automl.search.records import INFEASIBLE, KILLED, KILLED_TWICE, NO_TIME
from tests.unit.reporting import materials

HOSTILE = (
    "<script>alert(1)</script>",
    "$\\frac{1",
    '"><img src=x onerror=alert(1)>',
    "]]></style>",
    "中文 ‮txt.exe",
)


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page():
    spec = {"model.backbone": {"choice": [*HOSTILE, "resnet"]}, "training.epochs": {"int": [1, 9]}}

    def value_of(params, rng):
        return 0.5 + 0.04 * params["training.epochs"] + rng.normal(0, 0.01)

    alone = materials.whole(materials.stored(spec=spec, value_of=value_of)).configurations[0].first.number
    study = materials.stored(spec=spec, repeats=(alone, alone), value_of=value_of)
    found = materials.answers(HOSTILE, place=HOSTILE[2]).model_dump(mode="json")
    material = materials.whole(study, HOSTILE, name=HOSTILE[0], answers=found)
    report = Report("en")
    report.write(material)
    assert not [name for name, item in report.written.items() if item.content is None and name != "pareto"]
    return report.as_page(material)


def elements(page):
    parser = Elements()
    parser.feed(page)
    return parser.found


def test_no_name_in_the_data_becomes_an_element(page):
    allowed = {
        "html", "head", "meta", "title", "style", "body", "header", "h1", "small", "nav", "a", "main", "section",
        "h2", "p", "dl", "div", "dt", "dd", "figure", "img", "figcaption", "table", "caption", "thead", "tbody",
        "tr", "th", "td", "details", "summary", "pre", "blockquote", "footer",
    }  # fmt: skip
    found = elements(page)
    assert {tag for tag, _ in found} <= allowed
    assert not [name for _, attributes in found for name in attributes if name.startswith("on")]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "\u202e" not in page
    assert "\\u202e" in page


def test_nothing_is_looked_up_elsewhere(page):
    for tag, attributes in elements(page):
        for name in ("src", "href", "srcset", "data", "action"):
            if name in attributes:
                assert attributes[name].startswith(("data:image/", "#")), (tag, attributes[name][:80])
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_drawings_hold_texts_as_texts_and_no_scripts(page):
    drawings = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert len(drawings) >= 8
    texts = []
    for drawing in drawings:
        tree = ElementTree.fromstring(base64.b64decode(drawing))
        tags = {element.tag.rpartition("}")[2] for element in tree.iter()}
        assert not tags & {"script", "foreignObject", "a"}
        texts += ["".join(element.itertext()) for element in tree.iter() if element.tag.endswith("}text")]
    joined = "\n".join(texts)
    assert "<script>" in joined
    assert "$\\frac{1" in joined
    assert "中文" in joined


def test_a_report_of_1000_trials_stays_small():
    material = materials.whole(materials.stored(states=("complete", "pruned") * 500))
    report = Report("en")
    report.write(material)
    page = report.as_page(material)
    assert len(page) < 3_000_000
    assert "the first 500 of 1000 trials" in page


def test_cells_are_short_texts():
    assert cell_text(None) == "·"
    assert cell_text(12345) == "12,345"
    assert cell_text(0.91234) == "0.9123"
    assert cell_text(1.5e-7) == "1.5e-07"
    assert cell_text("a\nb") == "a\\nb"


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("the time for searching is used up", "搜索时间已用完"),
        ("all 40 trials are done", "40 个试验已全部完成"),
        (
            "all 12 trials are done, 3 of them repeats for the final choice",
            "12 个试验已全部完成，其中 3 个为最终选择而重复运行",
        ),
        (
            "no improvement in the last 8 trials, 4 repeats for the final choice",
            "最近 8 个试验没有改进，另有 4 个为最终选择而重复运行",
        ),
        ("10 trials are done, and there is nothing to repeat", "10 个试验已完成，没有可重复运行的试验"),
        ("stopped by the scheduler after epoch 4", "第 4 轮后被提前停止策略停止"),
        (
            "validation image 306 (a/3.png) read from its file, '3': network 0.5, bundle 0.6",
            "验证集第 306 项(a/3.png)（由文件读取），'3'：训练所得网络 0.5，导出网络 0.6",
        ),
        (
            "validation text 5 (a.csv:7) given alone, 'x': network 0.1, bundle 0.2",
            "验证集第 5 项(a.csv:7)（单独输入），'x'：训练所得网络 0.1，导出网络 0.2",
        ),
        (
            "validation item 5, 'x': network 0.1, bundle 0.2",
            "验证集第 5 项，'x'：训练所得网络 0.1，导出网络 0.2",
        ),
        ("0.01 … 0.3, log", "0.01 … 0.3，对数"),
        ("number 86", "第 86 项"),
        ("Out of memory: number 86", "Out of memory: number 86"),
    ],
)
def test_a_chinese_report_tells_what_records_hold_in_english(sentence, told):
    assert Words("zh").recorded(sentence) == told
    assert Words("en").recorded(sentence) == sentence


@pytest.mark.parametrize("reason", [NO_TIME, KILLED, INFEASIBLE, KILLED_TWICE])
def test_a_chinese_report_knows_why_a_trial_ended(reason):
    assert Words("zh").recorded(reason) != reason
