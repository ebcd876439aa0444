"""Registry, files, seeds, runtime and descriptions."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from paddle_automl.core import runtime
from paddle_automl.core.describe import all_options
from paddle_automl.core.errors import ConfigError, OutputError
from paddle_automl.core.files import (
    append_json_line,
    make_output_folder,
    read_json_lines,
    replacing,
    write_text,
)
from paddle_automl.core.registry import Registry
from paddle_automl.core.seeds import generator, integer_seed
from tests.unit.core.test_config import Root

PLUGIN = """
from {package} import THINGS
@THINGS.register("{name}")
class Thing:
    '''A thing called {name}.'''
"""


@pytest.fixture
def things(tmp_path, monkeypatch):
    package = f"things_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / package
    folder.mkdir()
    (folder / "__init__.py").write_text(
        f"from paddle_automl.core.registry import Registry\nTHINGS = Registry('thing', '{package}', 'things')\n"
    )
    for name in ("apple", "pear"):
        (folder / f"{name}.py").write_text(PLUGIN.format(package=package, name=name))
    (folder / "needs_extra.py").write_text("import a_library_that_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return __import__(package).THINGS, folder, package


def test_registry_finds_files_without_a_list_and_imports_only_what_is_asked(things):
    registry, _, package = things
    assert registry["apple"].__name__ == "Thing"
    assert f"{package}.pear" not in sys.modules
    assert registry.names() == ["apple", "pear"]
    assert registry.summary("pear") == "A thing called pear."


def test_registry_names_the_nearest_plugin_and_the_one_that_could_not_load(things):
    registry, _, _ = things
    with pytest.raises(ConfigError, match=r"unknown thing 'aple'; did you mean 'apple'\?") as caught:
        registry["aple"]
    assert "needs_extra: No module named 'a_library_that_nobody_has'" in str(caught.value)


def test_registry_refuses_a_second_class_of_a_name():
    registry: Registry = Registry("thing", "json", "things")
    registry.register("x")(type("First", (), {}))
    with pytest.raises(ConfigError, match=r"thing 'x' is registered already, by \S+First; give \S+Second another"):
        registry.register("x")(type("Second", (), {}))


def test_replacing_leaves_the_old_file_when_the_work_fails(tmp_path):
    file = tmp_path / "a.txt"
    write_text(file, "old")

    def fail_halfway():
        with replacing(file) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert file.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path):
    file = tmp_path / "log.jsonl"
    append_json_line(file, {"epoch": 1, "名": "值"})
    with open(file, "a", encoding="utf-8") as stream:
        stream.write('{"epoch": 2, "acc')
    assert read_json_lines(file) == [{"epoch": 1, "名": "值"}]


def test_output_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"output: cannot write to .*file/run.*-o output=PATH"):
        make_output_folder(tmp_path / "file" / "run")


def test_generators_depend_on_seed_and_name_only():
    np.random.seed(1)  # noqa: NPY002  the global generator must not matter
    first = generator(0, "split").random(3)
    assert np.array_equal(first, generator(0, "split").random(3))
    assert not np.array_equal(first, generator(1, "split").random(3))
    assert not np.array_equal(first, generator(0, "order").random(3))
    assert integer_seed(0, "x") != integer_seed(1, "x")
    assert 0 <= integer_seed(0, "x") < 2**31


@pytest.mark.parametrize(
    ("vendor", "flags", "expected"),
    [
        ("AuthenticAMD", {"avx2", "fma"}, "5"),
        ("HygonGenuine", {"avx2", "fma"}, "5"),
        ("AuthenticAMD", {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd", "avx2", "fma"}, "7"),
        ("AuthenticAMD", {"avx"}, None),
        ("GenuineIntel", {"avx2", "fma"}, None),
        ("", set(), None),
    ],
)
def test_mkl_path_is_chosen_by_vendor_and_instructions(vendor, flags, expected):
    assert runtime._mkl_cpu_type(vendor, flags) == expected


def tuned(**environment):
    code = "import json; from paddle_automl.core.runtime import tune_process; print(json.dumps(tune_process()))"
    names = ("OMP_NUM_THREADS", "KMP_BLOCKTIME", "MKL_DEBUG_CPU_TYPE", "GLOG_minloglevel", runtime.SWITCH)
    clean = {key: value for key, value in os.environ.items() if key not in names}
    run = subprocess.run(
        [sys.executable, "-c", code], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


def test_tuning_respects_the_user_and_can_be_turned_off():
    assert tuned(**{runtime.SWITCH: "0"}) == {}
    done = tuned(KMP_BLOCKTIME="200")
    assert done["OMP_NUM_THREADS"] == "1"
    assert "KMP_BLOCKTIME" not in done


def test_only_named_settings_are_made_where_they_are_named():
    code = (
        "from paddle_automl.core import log, runtime\n"
        "assert runtime.tune_process(['KMP_BLOCKTIME']) == {'KMP_BLOCKTIME': '1'}\n"
        "log.configure_logging(); log.configure_logging()"
    )
    clean = {k: v for k, v in os.environ.items() if k not in runtime.SETTINGS}
    environment = {**clean, "OMP_NUM_THREADS": "3", runtime.SWITCH: "0"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    # Said once, with what was there already.
    assert run.stderr.count("CPU settings: OMP_NUM_THREADS=3, KMP_BLOCKTIME=1 (") == 1
    assert run.stderr.count("\n") == 1


def test_container_quota_is_read_in_both_versions(tmp_path):
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert runtime._quota_v2(tmp_path / "cpu.max") == 1.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert runtime._quota_v2(tmp_path / "cpu.max") is None
    (tmp_path / "cpu.cfs_quota_us").write_text("200000")
    (tmp_path / "cpu.cfs_period_us").write_text("100000")
    assert runtime._quota_v1(tmp_path) == 2.0
    assert runtime._quota_v1(tmp_path / "nowhere") is None
    assert 1 <= runtime.usable_cores() <= (os.cpu_count() or 1)


def test_descriptions_come_from_the_classes():
    found = {option.key: option for option in all_options(Root)}
    assert found["shape"].type == "shape: box | circle"
    assert found["inner.epochs"].type == "int >= 1"
    assert found["inner.epochs"].default == "3"
    assert found["inner.kind"].type == "a | b"
    assert found["time"].default == "none"
