"""Every shipped configuration loads, survives a dump, and has a search space whose every option is valid."""

from pathlib import Path

import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import load_config, read_config, validate
from paddle_automl.core.yaml_io import dump_yaml
from paddle_automl.pipeline.candidates import corners, covering
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.space import baseline_of, make_space

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "configs").rglob("*.yaml"))
SEARCHES = [path for path in FILES if "space:" in path.read_text(encoding="utf-8")]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def paths_of(data, prefix=()):
    for key, value in data.items():
        yield (*prefix, key)
        if isinstance(value, dict) and key != "space":
            yield from paths_of(value, (*prefix, key))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_loads_and_survives_a_dump(path, tmp_path):
    config = load_config(RunConfig, path)
    (tmp_path / "dump.yaml").write_text(dump_yaml(config.as_dict()), encoding="utf-8")
    assert load_config(RunConfig, tmp_path / "dump.yaml") == config


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_wrong_key_at_each_level_is_refused(path):
    data, _ = read_config(path)
    sections = {(), *(prefix[:-1] for prefix in paths_of(data))}
    for section in sections:
        if section[:2] == ("search", "space"):
            continue
        changed, _ = read_config(path)
        inner = changed
        for key in section:
            inner = inner[key]
        inner["no_such_key"] = 1
        with pytest.raises(ConfigError, match="no_such_key"):
            validate(RunConfig, changed)


@pytest.mark.parametrize("path", SEARCHES, ids=name_of)
def test_every_option_of_the_space_makes_a_valid_configuration(path):
    config = load_config(RunConfig, path)
    space = make_space(config)
    base = baseline_of(config, space)
    assert base is not None
    assert len(covering(config, space, base)) >= len(space.decisions)
    assert corners(config, space)


def test_the_readme_example_is_such_a_configuration(tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "example.yaml").write_text(block.replace("base/image.yaml", str(ROOT / "configs/base/image.yaml")))
    config = load_config(RunConfig, tmp_path / "example.yaml")
    space = make_space(config)
    assert covering(config, space, baseline_of(config, space))
