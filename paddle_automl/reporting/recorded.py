"""Sentences that the records of a search hold in English, as a Chinese report tells them."""

from __future__ import annotations

import re
from collections.abc import Callable

_GIVEN = {None: "", " read from its file": "（由文件读取）", " given alone": "（单独输入）"}
"""How an item was given to the exported network."""
_SENTENCES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    # Why the trials ended.
    (
        r"(.*), (\d+) (of them )?repeats for the final choice",
        lambda found: f"{in_chinese(found[1])}，{'其中' if found[3] else '另有'} {found[2]} 个为最终选择而重复运行",
    ),
    (r"(\d+) trials are done, and there is nothing to repeat", r"\1 个试验已完成，没有可重复运行的试验"),
    (r"interrupted by Ctrl-C", "被 Ctrl-C 中断"),
    (r"the time for searching is used up", "搜索时间已用完"),
    (r"all (\d+) trials are done", r"\1 个试验已全部完成"),
    (r"no improvement in the last (\d+) trials", r"最近 \1 个试验没有改进"),
    (r"the last (\d+) proposals were known trials", r"最近 \1 个提议均为已有的试验"),
    (r"the last (\d+) networks were beyond search\.constraints", r"最近 \1 个网络均超出 search.constraints 的限制"),
    (r"everything in the search space was tried", "搜索空间已全部试过"),
    # Why a trial ended.
    (r"no time left", "时间已用完"),
    (r"stopped by the scheduler after epoch (\d+)", r"第 \1 轮后被提前停止策略停止"),
    (r"the search was killed twice while these choices ran", "以这些选择运行时，搜索两次被强行终止"),
    (r"infeasible", "超出限制"),
    (r"killed", "搜索被强行终止"),
    # Where the exported network differs most.
    (
        r"validation (?:image|text|item) (\d+)( \(.*\))?( read from its file| given alone)?, (.*): "
        r"network (\S+), bundle (\S+)",
        lambda found: (
            f"验证集第 {found[1]} 项{(found[2] or '').strip()}{_GIVEN[found[3]]}，"
            f"{found[4]}：训练所得网络 {found[5]}，导出网络 {found[6]}"
        ),
    ),
    # A range of numbers.
    (r"(\S+ \u2026 [^\s,]+), step (\S+)", r"\1，步长 \2"),
    (r"(\S+ \u2026 [^\s,]+), log", r"\1，对数"),
    # Which item of data without files.
    (r"number (\d+)", r"第 \1 项"),
)


def in_chinese(sentence: str) -> str:
    """Return a recorded sentence in Chinese, or unchanged if it is another one, such as the message of an error."""
    for pattern, told in _SENTENCES:
        found = re.fullmatch(pattern, sentence)
        if found is not None:
            return told(found) if callable(told) else found.expand(told)
    return sentence
