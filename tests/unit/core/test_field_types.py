"""Text options hold the text that was written, on the command line and in files, whatever YAML takes it for."""

from typing import Annotated, Any, Literal

import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import load_config, overridden, parse_overrides, read_config, validate
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import Duration, Plugin, PluginConfig, Section, Sequence, default

SOURCES: Registry = Registry("source", "tests.unit.core", "source")


@SOURCES.register("folder")
class Folder:
    """A folder."""

    class Config(PluginConfig):
        root: str = "."
        """Where."""

        names: Sequence[str] | None = None
        """Names of the classes."""


@SOURCES.register("off")
class Off:
    """Nothing."""

    class Config(PluginConfig):
        pass


class Inner(Section):
    source: Annotated[PluginConfig, Plugin(SOURCES, "folder")] = default("folder")
    more: Sequence[Annotated[PluginConfig, Plugin(SOURCES)]] = ()


class Root(Section):
    output: str = "runs"
    note: str | None = None
    epochs: int = 1
    switch: bool = False
    mode: Literal["on", "off", "auto"] | int = "auto"
    time: Duration | None = None
    labels: dict[str, str] | None = None
    space: dict[str, Any] | Literal["auto"] | None = None
    inner: Inner = Inner()


def read(tmp_path, text: str = "", *words: str) -> Root:
    file = tmp_path / "c.yaml"
    file.write_text(text, encoding="utf-8")
    return load_config(Root, file, parse_overrides(words))


TEXTS = [
    *(
        "my run #2",
        "#2",
        "2024-01-01",
        "2024-02-30",
        "007",
        "010",
        "1e3",
        "0x1F",
        "1_000",
        "1:30",
        ".5",
        "nan",
        "1.",
    ),
    *(
        "no",
        "Yes",
        "on",
        "true",
        "null",
        "~",
        "=",
        "<<",
        "a=b",
        "run: 2",
        "run:",
        "- x",
        "? x",
        "[draft] run",
        "[a]",
    ),
    *("{a}", "[", "@home", "%x", "*x", "&x", "!x", "!!int x", "|", ">", "it's", '"x" y', "---", "a, b", "12" * 200),
    *("café", "a\u2028b", "caf\udce9", "tab\there"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_all_that_stands_behind_the_equals_sign_is_the_text(tmp_path, text):
    assert read(tmp_path, "", f"output={text}").output == text
    assert read(tmp_path, "output: runs/x\n", f"output={text}").output == text
    assert read(tmp_path, "", f"inner.source.root={text}").inner.source.root == text


@pytest.mark.parametrize(
    "text", ["2024-01-01", "007", "010", "1e3", "0x1F", "1_000", "1:30", ".5", "no", "On", "true", "1.", "null"]
)
def test_a_plain_scalar_of_a_file_is_the_text_of_a_text_option(tmp_path, text):
    config = read(
        tmp_path, f"output: {text}\nlabels: {{a: {text}}}\ninner:\n  source: {{root: {text}, names: [{text}, b]}}\n"
    )
    assert config.output == text
    assert config.labels == {"a": text}
    assert config.inner.source == Folder.Config(name="folder", root=text, names=(text, "b"))


def test_text_below_a_list_of_plugins_and_inside_a_mapping_of_the_command_line(tmp_path):
    text = "inner: {more: [{name: folder, root: 7}, {name: folder}]}"
    config = read(tmp_path, text, "inner.more.1.root=010", "inner.source={name: folder, root: 1e3, names: [no]}")
    assert [item.root for item in config.inner.more] == ["7", "010"]
    assert config.inner.source == Folder.Config(name="folder", root="1e3", names=("no",))


def test_other_types_keep_what_yaml_reads(tmp_path):
    config = read(
        tmp_path,
        "epochs: 010\nswitch: no\nnote: null\ntime: 90\nmode: 3\nspace: {a.b: [no, 1e3, 007]}\n",
        "labels={a: b}",
    )
    assert config.epochs == 10
    assert config.switch is False
    assert config.note is None
    assert config.time == 90.0
    assert config.mode == 3
    assert config.space == {"a.b": [False, 1000.0, 7]}
    assert read(tmp_path, "note: 5\n").note == "5"
    assert read(tmp_path, "", "output='quoted # text'").output == "quoted # text"
    assert read(tmp_path, "", "output=!!str 007").output == "007"


def test_words_that_yaml_takes_for_switches_are_names_where_names_are_asked_for(tmp_path):
    assert read(tmp_path, "mode: off\ninner: {source: off}\n").mode == "off"
    assert isinstance(read(tmp_path, "", "inner.source=off", "mode=on").inner.source, Off.Config)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("epochs=5 # five", "-o epochs: epochs: cannot read the value '5 # five': is not valid YAML"),
        ("epochs=[1", "-o epochs: epochs: cannot read the value '[1'"),
        ("space.x={choice: [1}", "-o space.x: space.x: cannot read the value"),
        ("space=!!int abc", "'abc' is not a whole number"),
        ("epochs=007x", "epochs: input should be a valid integer, got '007x'"),
        ("output=", "output: input should be a valid string, got None"),
    ],
)
def test_what_no_text_option_takes_is_refused_with_its_key(tmp_path, word, message):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "", word, "switch=3")
    assert message in str(caught.value)
    assert "switch" in str(caught.value)
    assert len(caught.value.issues) == 2


def test_the_text_of_a_file_does_not_outlive_its_value(tmp_path):
    (tmp_path / "base.yaml").write_text("output: 007\nnote: 1e3\n", encoding="utf-8")
    file = tmp_path / "c.yaml"
    file.write_text("_base_: base.yaml\nnote: text\n", encoding="utf-8")
    assert load_config(Root, file).output == "007"
    assert load_config(Root, file).note == "text"
    # From Python a number is a number.
    with pytest.raises(ConfigError, match="output: input should be a valid string, got 7"):
        load_config(Root, file, {"output": 7})


def test_texts_reach_a_configuration_that_comes_from_no_file():
    words = parse_overrides(["output=2024-01-01", "inner.source.root=no"])
    assert validate(Root, *overridden({"epochs": 2}, {}, words)).output == "2024-01-01"
    data, _ = overridden({}, {}, {"epochs": 3})
    assert data == {"epochs": 3}


def test_a_mistake_in_an_item_of_a_list_names_the_override(tmp_path):
    (tmp_path / "c.yaml").write_text("inner: {more: [{name: folder}]}\n", encoding="utf-8")
    data, positions = read_config(tmp_path / "c.yaml", parse_overrides(["inner.more.0.rot=x"]))
    with pytest.raises(ConfigError, match=r"^-o inner.more.0.rot: inner.more.0.rot: unknown key"):
        validate(Root, data, positions)
