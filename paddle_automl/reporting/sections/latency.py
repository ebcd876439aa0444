"""How fast the exported network is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection, need_bundle
from paddle_automl.reporting.blocks import Block, Chart, Grid, Paragraph
from paddle_automl.reporting.charts import COLORS, Drawing, label
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Texts, Words, figure


@SECTIONS.register("latency")
class LatencySection(ReportSection):
    """Measured times of each format, with their conditions."""

    place = 64
    texts: ClassVar[Texts] = {
        "title": ("Latency", "延迟"),
        "none": ("The exported network was not timed.", "未测量导出网络的延迟。"),
        "fastest": ("The fastest format on that machine is {name}.", "在该机器上最快的格式为 {name}。"),
        "conditions": (
            "One run of the network alone, without decoding and preprocessing. Medians (p50), with what 95% of "
            "the runs do not exceed (p95).",
            "仅网络本身的一次运行，不含解码与预处理。中位数（p50）及 95% 的运行不超过的值（p95）。",
        ),
        "format": ("format", "格式"),
        "batch": ("batch", "批大小"),
        "threads": ("threads", "线程"),
        "runtime": ("runtime", "运行环境"),
        "processor": ("processor", "处理器"),
        "runs": ("runs", "次数"),
        "text": ("Median time by format and batch size, to p95.", "各格式与批大小的中位时间，至 p95。"),
        "axis": ("ms, median and p95", "毫秒，中位数与 p95"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the records of the timing by format."""
        bundle = need_bundle(material)
        rows = [{"format": _name(bundle), **item} for item in bundle.get("latency") or ()]
        for other in bundle.get("formats") or ():
            rows += [{"format": _name(other), **item} for item in other.get("latency") or ()]
        if not rows:
            raise Missing("none")
        return {"fastest": bundle.get("fastest"), "times": rows}

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return a table, and a drawing if there are several formats or batch sizes."""
        times = content["times"]
        sentences = [words("conditions")]
        if content["fastest"] and len({item["format"] for item in times}) > 1:
            sentences.append(words("fastest", name=content["fastest"]))
        keys = ("format", "batch", "threads")
        columns = (*map(words, keys), "p50 ms", "p95 ms", words("runs"), words("runtime"), words("processor"))
        rows = tuple(
            (
                item["format"],
                item["batch_size"],
                item["threads"],
                figure(item["p50_ms"]),
                figure(item["p95_ms"]),
                item["runs"],
                item.get("runtime", ""),
                item["processor"],
            )
            for item in times
        )
        blocks: list[Block] = [Paragraph(words.joined(sentences)), Grid(columns, rows)]
        return [*blocks, self._chart(times, words)] if len(times) > 1 else blocks

    def _chart(self, times: list[dict[str, Any]], words: Words) -> Chart:
        with Drawing(size=(8.4, 0.8 + 0.3 * len(times))) as drawing:
            axes = drawing.axes
            formats = list(dict.fromkeys(item["format"] for item in times))
            places = list(range(len(times)))[::-1]
            axes.barh(
                places,
                [item["p50_ms"] for item in times],
                xerr=[[0.0] * len(times), [max(0.0, item["p95_ms"] - item["p50_ms"]) for item in times]],
                color=[COLORS[formats.index(item["format"]) % len(COLORS)] for item in times],
                ecolor="#5b6670",
                height=0.7,
            )
            texts = [
                f"{item['format']}, {words('batch')} {item['batch_size']}, {item['threads']}T" for item in times
            ]
            axes.set_yticks(places, [label(text, 44) for text in texts])
            axes.grid(visible=False, axis="y")
            axes.set_xlabel(words("axis"))
            return Chart(drawing.svg(), words("text"))


def _name(item: Mapping[str, Any]) -> str:
    return str((item.get("exporter") or {}).get("name", "?"))
