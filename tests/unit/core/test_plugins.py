"""Plugins from modules, files and installed packages: loading, mistakes, other processes."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import load_config
from paddle_automl.core.plugins import LoadPlugins, absolute_plugins, load_plugins, plugins_of
from paddle_automl.core.registry import Registry, registrations
from paddle_automl.core.schema import PluginConfig, Section, Sequence

ROOT = Path(__file__).parents[3]


@pytest.fixture
def kind(tmp_path, monkeypatch):
    """A package with the registry THINGS and the built-in thing 'apple', which is in a file of another name."""
    package = f"kind_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / package
    folder.mkdir()
    (folder / "__init__.py").write_text(
        f"from paddle_automl.core.registry import Registry\nTHINGS = Registry('thing', '{package}', 'thing')\n"
    )
    (folder / "fruit.py").write_text(thing(package, "apple", "Apple"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return package


def thing(package: str, name: str, cls: str) -> str:
    return f"from {package} import THINGS\n\n\n@THINGS.register('{name}')\nclass {cls}:\n    '''A {name}.'''\n"


def things_of(package: str) -> Registry[Any]:
    found: Registry[Any] = sys.modules[package].THINGS
    return found


def run(code: str, folder: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh process that finds modules in `paths`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *paths)))}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_file_is_loaded_once_and_its_class_can_be_looked_up(kind, tmp_path):
    (tmp_path / "pear.py").write_text(thing(kind, "pear", "Pear") + "import sys\nsys.loads = sys.loads + 1\n")
    sys.loads = 0  # type: ignore[attr-defined]
    load_plugins(["./pear.py"])
    load_plugins(["pear.py", str(tmp_path / "pear.py")])
    assert sys.loads == 1  # type: ignore[attr-defined]
    assert things_of(kind)["pear"].__doc__ == "A pear."
    assert things_of(kind).names() == ["apple", "pear"]
    assert registrations()[-1].name == "pear"


def test_a_dotted_module_is_loaded(kind, tmp_path):
    folder = tmp_path / f"{kind}_garden"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "plum.py").write_text(thing(kind, "plum", "Plum"))
    load_plugins([f"{kind}_garden.plum"])
    # The package around it defines nothing itself, but what is below it counts as its own.
    load_plugins([f"{kind}_garden"])
    assert things_of(kind)["plum"].__doc__ == "A plum."


def test_a_module_in_the_working_directory_is_found_whatever_the_path_of_the_command(kind, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "quince_plugin.py").write_text(thing(kind, "quince", "Quince"))
    script = tmp_path / "command.py"
    script.write_text("from paddle_automl.core.plugins import load_plugins\nload_plugins(['quince_plugin'])\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, tmp_path)))}
    done = subprocess.run([sys.executable, str(script)], cwd=folder, env=environment, check=False)
    assert done.returncode == 0


def test_a_script_that_is_its_own_plugin_registers_its_class_anew(kind, tmp_path):
    script = tmp_path / "own.py"
    script.write_text(
        thing(kind, "fig", "Fig")
        + "\nif __name__ == '__main__':\n"
        + "    from paddle_automl.core.plugins import load_plugins\n"
        + "    load_plugins(['own.py'])\n"
        + "    print(THINGS['fig'].__module__)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, tmp_path)))}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True
    )
    # Not __main__: other processes know the class by the module of the plugin only.
    assert done.stdout.startswith("paddle_automl_plugin_own_")


def test_another_process_unpickles_what_a_plugin_defines(kind, tmp_path):
    (tmp_path / "lemon.py").write_text(thing(kind, "lemon", "Lemon") + "    sour = 7\n")
    names = absolute_plugins(["lemon.py"])
    load_plugins(names)
    arguments = (LoadPlugins(names), things_of(kind)["lemon"]())
    (tmp_path / "arguments").write_bytes(pickle.dumps(arguments))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = "import pickle; print(pickle.load(open('../arguments', 'rb'))[1].sour)"
    done = run(code, elsewhere, tmp_path)
    assert done.stdout.strip() == "7", done.stderr
    (tmp_path / "arguments").write_bytes(pickle.dumps(arguments[1:]))
    assert "No module named 'paddle_automl_plugin_lemon" in run(code, elsewhere, tmp_path).stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere.py", r"plugins: \./nowhere\.py: there is no file .*nowhere\.py$"),
        (".", r"plugins: \.: is neither a dotted module"),
        ("./", r"plugins: \./: .* is a folder; name a \.py file in it$"),
        ("sub/notes.txt", r"plugins: sub/notes\.txt: must end in \.py"),
        ("my-package", r"plugins: my-package: is neither a dotted module.* nor the path of a \.py file$"),
        ("no_such_package.part", r"cannot be imported: there is no module 'no_such_package'; install"),
        ("json.no_such_part", r"cannot be imported: there is no module 'json\.no_such_part'; install"),
        ("json.decoder", r"plugins: json\.decoder: registers nothing: .*@BACKBONES"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_named(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        load_plugins([name])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ny = x / 0\n", r"cannot be imported: ZeroDivisionError: division by zero \(\S+broken\.py:2\)$"),
        ("import json\n\njson.loads('{')\n", r"JSONDecodeError: .*\(\S+broken\.py:3\)$"),
        ("import a_library_that_nobody_has\n", r"No module named 'a_library_that_nobody_has' \(\S+broken\.py:1\)"),
        ("x = (\n", r"SyntaxError: .*\(\S+broken\.py:1\)$"),
        ("raise SystemExit(3)\n", r"SystemExit: 3 \(\S+broken\.py:1\)$"),
        ("x = 1\n", r"broken\.py: registers nothing"),
        (
            "from {kind} import THINGS\n@THINGS.register\nclass A: ...\n",
            r'TypeError: a thing is registered by name, as in @REGISTRY\.register\("my_thing"\)',
        ),
    ],
)
def test_a_file_that_fails_is_named_with_its_line(kind, tmp_path, text, message):
    (tmp_path / "broken.py").write_text(text.format(kind=kind) if "{kind}" in text else text)
    with pytest.raises(ConfigError, match=message):
        load_plugins(["broken.py"])


def test_what_a_failed_plugin_registered_is_taken_back_and_it_can_be_loaded_when_mended(kind, tmp_path):
    file = tmp_path / "date.py"
    file.write_text(thing(kind, "date", "Date") + "raise RuntimeError('late')\n")
    before = registrations()
    with pytest.raises(ConfigError, match=r"RuntimeError: late \(\S+date\.py:7\)"):
        load_plugins(["date.py"])
    assert registrations() == before
    assert things_of(kind).names() == ["apple"]
    file.write_text(thing(kind, "date", "Date") + "mended = 'now it is longer'\n")
    load_plugins(["date.py"])
    assert things_of(kind).names() == ["apple", "date"]


def test_a_known_name_is_refused_and_both_classes_are_named(kind, tmp_path):
    (tmp_path / "copy.py").write_text(thing(kind, "apple", "Apple"))
    message = (
        rf"plugins: \./copy\.py: thing 'apple' is registered already, by {kind}\.fruit\.Apple; "
        r"give paddle_automl_plugin_copy_\w+\.Apple another name \(\S+copy\.py:[45]\)"
    )
    # The registry has read no file of its folder yet.
    with pytest.raises(ConfigError, match=message):
        load_plugins(["./copy.py"])
    assert things_of(kind)["apple"].__module__ == f"{kind}.fruit"


def test_all_plugins_with_mistakes_are_reported_at_once(kind, tmp_path):
    (tmp_path / "good.py").write_text(thing(kind, "good", "Good"))
    with pytest.raises(ConfigError) as caught:
        load_plugins(["./a.py", "good.py", "./b.py"])
    assert [issue.split(": ")[1] for issue in caught.value.issues] == ["./a.py", "./b.py"]


def test_a_built_in_class_cannot_be_registered_under_a_second_name(kind, tmp_path):
    (tmp_path / "alias.py").write_text(
        f"from {kind} import THINGS\nTHINGS.register('pomme')(THINGS['apple'])\nclass A: ...\n"
    )
    with pytest.raises(ConfigError, match=r"Apple is registered as thing 'apple' already; derive a class"):
        load_plugins(["alias.py"])


def test_a_real_kind_keeps_its_own_names(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from paddle_automl.search.controllers.base import CONTROLLERS\n"
        "@CONTROLLERS.register('evolution')\nclass Mine: ...\n"
    )
    code = "from paddle_automl.core.plugins import load_plugins; load_plugins(['mine.py'])"
    done = run(code, tmp_path)
    assert "controller 'evolution' is registered already, by paddle_automl.search.controllers." in done.stderr


def entry_point(folder: Path, package: str, value: str) -> None:
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[paddle_automl.plugins]\nmine = {value}\n")


def test_installed_packages_declare_plugins_and_a_broken_one_only_warns(kind, tmp_path):
    (tmp_path / "orchard.py").write_text(thing(kind, "grape", "Grape"))
    (tmp_path / "ruin.py").write_text("raise ValueError('rotten')\n")
    (tmp_path / "empty_one.py").write_text("")
    for package, value in (("orchard", "orchard"), ("ruin", "ruin"), ("empty-one", "empty_one")):
        entry_point(tmp_path, package, value)
    code = (
        "from paddle_automl.core.plugins import load_plugins\n"
        "load_plugins([]); load_plugins(['orchard'])\n"
        f"from {kind} import THINGS\n"
        "print(*THINGS.names())"
    )
    done = run(code, tmp_path, tmp_path)
    assert done.stdout.split() == ["apple", "grape"], done.stderr
    warnings = done.stderr.splitlines()
    assert len(warnings) == 2
    assert any(
        "plugin 'mine = ruin' of the installed package ruin is left out" in line and "ValueError: rotten" in line
        for line in warnings
    )
    assert any("installed package empty-one is left out: registers nothing" in line for line in warnings)


@pytest.mark.parametrize("value", ["my.module", [1], [""], {"a": 1}, None, 3])
def test_plugins_must_be_a_list_of_texts(value):
    with pytest.raises(
        ConfigError, match=r"^plugins: must be a list of dotted modules and paths of \.py files, got"
    ):
        plugins_of({"plugins": value})


def test_a_single_name_is_shown_as_the_list_that_was_meant():
    with pytest.raises(ConfigError, match=r"got 'my\.module'; write \[my\.module\]"):
        plugins_of({"plugins": "my.module"})
    assert plugins_of({}) == ()
    assert plugins_of({"plugins": ["a", "b.py"]}) == ("a", "b.py")


class Root(Section):
    plugins: Sequence[str] = ()
    thing: str = ""


def test_a_configuration_loads_its_plugins_before_it_is_checked_and_keeps_absolute_paths(kind, tmp_path):
    class Strict(Root):
        thing: str = ""

        def model_post_init(self, context: Any) -> None:
            assert self.thing in things_of(kind)

    (tmp_path / "melon.py").write_text(thing(kind, "melon", "Melon"))
    (tmp_path / "run.yaml").write_text("plugins: [./melon.py]\nthing: melon\n")
    config = load_config(Strict, tmp_path / "run.yaml")
    assert config.plugins == (str(tmp_path / "melon.py"),)


def test_a_mistake_names_the_line_of_the_configuration_or_the_override(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text("thing: x\nplugins: [./nowhere.py]\n")
    with pytest.raises(ConfigError, match=r"^\S+run\.yaml:2: plugins: \./nowhere\.py: there is no file"):
        load_config(Root, tmp_path / "run.yaml")
    with pytest.raises(ConfigError, match=r"^-o plugins: plugins: must be a list"):
        load_config(Root, tmp_path / "run.yaml", {"plugins": 3})


def test_the_options_of_a_plugin_are_a_section_like_any_other(kind, tmp_path):
    (tmp_path / "kiwi.py").write_text(
        f"from {kind} import THINGS\nfrom paddle_automl.core.schema import PluginConfig\n\n\n"
        "@THINGS.register('kiwi')\nclass Kiwi:\n    class Config(PluginConfig):\n        seeds: int = 3\n"
        "        '''How many.'''\n"
    )
    load_plugins(["kiwi.py"])
    config = things_of(kind)["kiwi"].Config
    assert issubclass(config, PluginConfig)
    assert config.model_fields["seeds"].description == "How many."
