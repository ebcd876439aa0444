"""The description of every plugin comes from its class and leaves nothing undocumented."""

import json
import subprocess
import sys

import pytest

from paddle_automl.cli import describe
from paddle_automl.cli.kinds import registries, sections
from paddle_automl.core.describe import all_options, options
from paddle_automl.pipeline.config import RunConfig

PLUGINS = [(kind, name) for kind, registry in registries().items() for name in registry.names()]


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_every_plugin_is_described_with_every_option_documented(kind, name, capsys):
    assert describe.main([kind, name]) == 0
    printed = capsys.readouterr().out
    cls = registries()[kind][name]
    assert (cls.__doc__ or "").strip().splitlines()[0] in printed
    for option in options(cls.Config):
        assert option.doc.strip(), f"{kind} {name}: option {option.key} has no help text"
        assert f"  {option.key}: " in printed
    assert cls.Config.model_config["frozen"] is True


@pytest.mark.parametrize("kind", sorted(registries()))
def test_listing_a_kind(kind, capsys):
    assert describe.main([kind]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in registries()[kind].names())


def test_every_key_of_the_configuration_is_documented():
    for option in all_options(RunConfig):
        assert option.doc.strip(), option.key


@pytest.mark.parametrize("name", sorted(sections()))
def test_sections(name, capsys):
    assert describe.main(["section", name]) == 0
    assert capsys.readouterr().out.strip()


def test_json_schema_of_the_whole_configuration(capsys):
    assert describe.main(["--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"data", "model", "training", "search"} <= set(schema["properties"])


def test_unknown_kind_and_name(capsys):
    assert describe.main(["controler"]) == 2
    assert "did you mean 'controller'?" in capsys.readouterr().err
    assert describe.main(["backbone", "resnet5"]) == 2
    assert "did you mean 'resnet'?" in capsys.readouterr().err


def test_json_schemas_of_all_plugins_of_a_kind_and_of_all_sections(capsys):
    assert describe.main(["backbone", "--schema"]) == 0
    assert "width" in json.loads(capsys.readouterr().out)["resnet"]["properties"]
    assert describe.main(["section", "--schema"]) == 0
    assert "optimizer" in json.loads(capsys.readouterr().out)["training"]["properties"]


PLUGIN = '''
from paddle_automl.core.schema import PluginConfig
from paddle_automl.training.lr_schedules.base import LR_SCHEDULES, LrSchedule, LrScheduleConfig

@LR_SCHEDULES.register("linear")
class Linear(LrSchedule):
    """A straight line down."""

    class Config(LrScheduleConfig):
        last: float = 0.0
        """Factor at the end."""

    def after_warmup(self, progress):
        return 1 - (1 - self.config.last) * progress
'''


def test_a_plugin_is_described_with_its_options(tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    command = [sys.executable, "-m", "paddle_automl", "describe", "lr_schedule", "linear"]
    run = subprocess.run(
        [*command, "--plugin", "./mine.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "A straight line down." in run.stdout
    assert "last: float (default: 0.0)\n      Factor at the end." in run.stdout
    run = subprocess.run([*command, "--plugin", "no.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "error: plugins: no.py: there is no file" in run.stderr
