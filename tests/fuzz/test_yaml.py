"""Configurations and other YAML."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import load_config, parse_overrides
from paddle_automl.core.yaml_io import dump_yaml, parse_value, read_word, read_yaml
from tests.fuzz.damage import MANY, SAMPLE, Growth, damaged, only_two_ends
from tests.unit.core.test_field_types import Root

FILES = sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))
WORDS = [
    *(
        "{",
        "}",
        "[",
        "]",
        ":",
        ": ",
        ",",
        "- ",
        "? ",
        "#",
        " #",
        "&a ",
        "*a",
        "!!int ",
        "!!str ",
        "!x ",
        "|",
        ">",
        "%",
    ),
    *(
        "<<",
        "=",
        "\n",
        "\n  ",
        "\t",
        "'",
        '"',
        "---\n",
        "...\n",
        "~",
        "yes",
        "0x",
        "1e9",
        "1:30",
        ".inf",
        "2024-02-30",
    ),
    *("a", "b", "\\", "\\U", "\x00", "\x85", "\ud800", "\U0001f600", "null", "0" * 400, "[" * 70),
]
yaml_like = st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=30).map("".join)
quick = settings(max_examples=SAMPLE * 5, deadline=None)
many = settings(max_examples=MANY, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def one_text(text: str) -> None:
    if not only_two_ends(lambda: parse_value(text), ConfigError):
        return
    value = parse_value(text)
    # What is read is made of plain values, and what is written of it is read again.
    assert repr(parse_value(dump_yaml(value))) == repr(value)


def one_word(text: str) -> None:
    read_word(text, "-o output")
    # A text option takes any text.
    words = parse_overrides([f"output={text}"])
    assert isinstance(words["output"], object)


test_texts = quick(given(yaml_like)(one_text))
test_words = quick(given(yaml_like)(one_word))
test_many_texts = pytest.mark.slow(many(given(yaml_like)(one_text)))
test_many_words = pytest.mark.slow(many(given(yaml_like)(one_word)))


def flip(path: Path, folder: Path, count: int) -> None:
    file = folder / "c.yaml"
    read = 0
    with Growth():
        for content in damaged(path.read_bytes(), count, seed=1):
            file.write_bytes(content)
            read += only_two_ends(lambda: read_yaml(file), ConfigError)
            only_two_ends(lambda: load_config(Root, file), ConfigError)
    # Damage that nobody notices is no test of the readers.
    assert 0 < read < count


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_damaged_configurations(tmp_path, path):
    flip(path, tmp_path, SAMPLE)


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_many_damaged_configurations(tmp_path, path):
    flip(path, tmp_path, MANY // len(FILES))


def test_an_error_names_its_line(tmp_path):
    file = tmp_path / "c.yaml"
    for content in damaged(FILES[0].read_bytes(), SAMPLE, seed=2):
        file.write_bytes(content)
        with contextlib.suppress(ConfigError):
            read_yaml(file)
            continue
        with pytest.raises(ConfigError, match=r"c\.yaml:\d+: |c\.yaml: must hold a mapping"):
            read_yaml(file)
