"""Reading YAML: what cannot be read is one error with file and line, within limits of depth, count and size."""

import os
from pathlib import Path

import pytest
import yaml

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.yaml_io import LARGEST_FILE, dump_yaml, parse_value, read_yaml

DIGITS = "1" * 5000


def laughs(item: str, repeat: str) -> str:
    """Return a text of twelve lines, each repeating the one before nine times."""
    lines = [f"a0: &a0 {item}"]
    lines += [f"a{i}: &a{i} {repeat % ', '.join([f'*a{i - 1}'] * 9)}" for i in range(1, 12)]
    return "\n".join(lines)


def refused(tmp_path, text: str) -> str:
    file = tmp_path / "bad.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_yaml(file)
    assert len(caught.value.issues) == 1
    return str(caught.value).replace(f"{tmp_path}{os.sep}", "")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("!!int abc", "'abc' is not a whole number"),
        ("!!float abc", "'abc' is not a number"),
        ("!!bool foo", "'foo' is not true or false"),
        ("!!null foo", "'foo' is not null"),
        ("!!timestamp foo", "the tag 'tag:yaml.org,2002:timestamp' is refused"),
        ("!!binary aGVsbG8=", "the tag 'tag:yaml.org,2002:binary' is refused"),
        ("!!set {x, y}", "refused"),
        ("!mine 3", "the tag '!mine' is refused"),
        (DIGITS, "is not a whole number of at most 300 digits"),
        (f"0x{DIGITS}", "of at most 300 digits"),
        (f"{DIGITS}.0", "is not a number of at most 300 digits"),
        ("!!int ٣", "'٣' is not a whole number"),
        ('"\\UFFFFFFFF"', "a number that cannot be"),
        ('"\\ud800"', "a character that no file can hold"),
        ('"a\\0b"', "a character that no file can hold"),
        ("&a [*a]", "an alias repeats a value that contains the alias"),
        ("&a {b: *a}", "an alias repeats a value that contains the alias"),
        ("&a {<<: *a}", "an alias repeats a value that contains the alias"),
        ("&a {<<: [*a]}", "an alias repeats a value that contains the alias"),
        ("[" * 3000, "more than 64 nested mappings and lists"),
        ("{a: " * 3000, "more than 64 nested mappings and lists"),
        ("{? [a, b] : 1}", "a key must be a word"),
        ("{? {a: b} : 1}", "a key must be a word"),
        ("{!!int x: 1}", "'x' is not a whole number"),
        ("{<<: 3}", "<< needs a mapping"),
        ("{<<: [[1]]}", "<< needs a mapping"),
    ],
)
def test_what_cannot_be_built_is_named_with_file_and_line(tmp_path, line, message):
    said = refused(tmp_path, f"first: 1\nsecond: {line}\n")
    assert said.startswith("bad.yaml:2: is not valid YAML")
    assert message in said
    assert len(said) < 300


@pytest.mark.parametrize("text", [laughs("[x, x, x, x]", "[%s]"), laughs("{x: 1}", "{<<: [%s]}")])
def test_aliases_that_repeat_aliases_end_at_the_limit(tmp_path, text):
    assert "more than 100000 values, with all that its aliases repeat" in refused(tmp_path, text)


def test_a_chain_of_aliases_is_as_deep_as_what_it_stands_for(tmp_path):
    chain = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 2000))]
    assert "bad.yaml:1: is not valid YAML here: more than 64" in refused(tmp_path, "\n".join(chain))


def test_values_are_counted_and_the_size_is_limited(tmp_path):
    assert "more than 100000 values" in refused(tmp_path, f"a: [{'1,' * 100_001}]")
    assert f"larger than {LARGEST_FILE >> 20} MB" in refused(tmp_path, "#" * (LARGEST_FILE + 1))


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX systems")
def test_a_pipe_with_a_configurations_name_is_refused_and_a_shells_stream_is_read(tmp_path):
    os.mkfifo(tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match=r"c\.yaml: cannot read the configuration: is not a regular file"):
        read_yaml(tmp_path / "c.yaml")
    ours, theirs = os.pipe()
    os.write(theirs, b"a: 1\n")
    os.close(theirs)
    assert read_yaml(Path(f"/dev/fd/{ours}"))[0] == {"a": 1}
    os.close(ours)


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError, match=r"a\.yaml:2: is not UTF-8 text"):
        read_yaml(tmp_path / "a.yaml")
    assert "bad.yaml:2: is not valid YAML: the character" in refused(tmp_path, "a: 1\nb: \x01\n")


@pytest.mark.parametrize("text", ["!!int abc", "0b2: &a [*a]", DIGITS, "[" * 3000, '"\\UFFFFFFFF"', "a: b: c"])
def test_one_value_that_cannot_be_read_is_a_short_error(text):
    with pytest.raises(ConfigError, match="cannot read the value") as caught:
        parse_value(text)
    assert len(str(caught.value)) < 300


def test_scalars_are_read_as_in_yaml_1_2():
    text = "[2024-02-30, 1:30, 010, 0x1F, 0x_, 1_000, -1.5e3, +.5, 1., .inf, =, 0o7, yes, ~]"
    assert parse_value(text) == [
        *("2024-02-30", "1:30", 10, 31, "0x_", 1000, -1500.0, 0.5, 1.0, float("inf"), "=", "0o7", True, None)
    ]


def test_merge_keys_give_way_to_what_stands_beside_them():
    text = "a: &a {x: 1, y: {z: 1}}\nb: &b {x: 2, w: 4}\nc: {x: 3, <<: [*a, *b]}"
    assert parse_value(text)["c"] == {"x": 3, "y": {"z": 1}, "w": 4}


@pytest.mark.parametrize(
    "text",
    ["2024-01-01", "1:30", "010", "0x1F", "no", "~", "1e3", "1.", "=", "<<", "#x", " x ", "a: b", "\udce9", ""],
)
def test_what_is_written_is_read_again_by_us_and_as_text_by_any_reader(text):
    written = dump_yaml({"key": text, text or "empty": 1})
    assert parse_value(written) == {"key": text, text or "empty": 1}
    assert yaml.safe_load(dump_yaml({"key": text})) == {"key": text}
