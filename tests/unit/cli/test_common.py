"""What all commands share: JSON that programs read in every locale."""

import io
import json
import sys

import pytest

from paddle_automl.cli.common import print_json
from paddle_automl.core.streams import prepare_streams, results

GIVEN = {"path": "菊花 é \U0001f600", "broken": "\udce9", "score": 0.5}


class Stream(io.TextIOWrapper):
    """Standard output in an encoding."""

    def __init__(self, encoding, terminal=False):
        super().__init__(io.BytesIO(), encoding=encoding)
        self.isatty = lambda: terminal


def printed(monkeypatch, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    prepare_streams()
    with results():
        print_json(json.dumps(GIVEN, indent=2, ensure_ascii=False))
    return stream.buffer.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "cp1252", "ascii"])
def test_json_on_standard_output_is_json_in_every_locale(monkeypatch, encoding):
    raw = printed(monkeypatch, Stream(encoding))
    assert json.loads(raw) == GIVEN
    assert raw.isascii() == (encoding != "utf-8")


def test_json_on_a_terminal_can_be_read(monkeypatch):
    assert "菊花".encode("gbk") in printed(monkeypatch, Stream("gbk", terminal=True))
