"""Every data set against its contract, and what those of the package keep beyond it."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.data.datasets.base import DATASETS, DatasetConfig
from paddle_automl.data.samples import Samples
from paddle_automl.inputs.base import INPUTS
from paddle_automl.tasks.base import TASKS, RawTargets, default_task
from paddle_automl.testing.datasets import DatasetContract
from tests.contracts.registering import registered
from tests.contracts.toys import Lines, Texts
from tests.unit.data.pictures import class_folder, write_idx

NAMES = DATASETS.names()


def _digits(root):
    return {}


def _image_folder(root):
    class_folder(root / "花 卉", {"玫瑰 red": 4, "lily": 5})
    return {"root": "花 卉"}


def _image_list(root):
    class_folder(root / "图 片", {"a": 4, "b": 5})
    lines = [
        f"{name}/图 {number:02d}.png {name}" for name, count in (("a", 4), ("b", 5)) for number in range(count)
    ]
    (root / "图 片" / "列表.txt").write_text("\n".join(lines), encoding="utf-8")
    return {"train": "图 片/列表.txt"}


def _idx(root):
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("t10k", 6)):
        write_idx(root / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (count, 5, 6)))
        write_idx(root / f"{part}-labels-idx1-ubyte", np.arange(count) % 3)
    return {"root": "."}


def _npz(root):
    images = np.random.default_rng(0).integers(0, 256, (12, 5, 6, 3), dtype=np.uint8)
    np.savez(root / "数据.npz", x_train=images, y_train=np.arange(12) % 2)
    return {"path": "数据.npz"}


def _image_table(root):
    class_folder(root / "图 片", {"a": 5, "b": 5})
    rows = [f"{name}/图 {number:02d}.png;{name};p{number}" for name in "ab" for number in range(5)]
    (root / "图 片" / "表.csv").write_text("\n".join(["path;类;who", *rows]), encoding="utf-8")
    return {"file": "图 片/表.csv", "labels": "类"}


def _text_table(root):
    rows = [f'"第{number}行，""好""";{"好" if number % 2 else "差"};w{number % 3}' for number in range(12)]
    (root / "表 格.csv").write_text("\n".join(["评论;类;who", *rows]), encoding="utf-8-sig")
    return {"file": "表 格.csv", "text": "评论", "label": "类"}


def _text_list(root):
    for part, count in (("train", 12), ("dev", 6)):
        lines = [f"标题 {part} {number}\t{number % 2}" for number in range(count)]
        (root / f"{part} 列表.txt").write_text("\n".join(lines), encoding="gb18030")
    (root / "类.txt").write_text("体育\n财经\n", encoding="utf-8")
    return {"train": "train 列表.txt", "validation": "dev 列表.txt", "label_file": "类.txt"}


def _text_folder(root):
    for name, count in (("好 评", 5), ("差 评", 6)):
        (root / "文 本" / name).mkdir(parents=True)
        for number in range(count):
            (root / "文 本" / name / f"{number}.txt").write_text(f"{name}的第{number}条", encoding="utf-16")
    return {"root": "文 本"}


EXAMPLES = {
    "digits": _digits,
    "text_table": _text_table,
    "text_list": _text_list,
    "text_folder": _text_folder,
    "image_folder": _image_folder,
    "image_list": _image_list,
    "image_table": _image_table,
    "idx": _idx,
    "npz": _npz,
}


@pytest.mark.parametrize("plugin", [DATASETS[name] for name in NAMES], ids=NAMES)
class TestDatasets(DatasetContract):
    def example(self, plugin, folder):
        assert plugin.name in EXAMPLES, f"add an example of the data set '{plugin.name}' to EXAMPLES in {__file__}"
        return EXAMPLES[plugin.name](folder)

    def test_classes_occur_and_files_are_listed_once(self, plugin, given):
        samples = self.load(plugin, given)
        targets = samples.targets
        if targets.kind == "classes":
            assert targets.values.dtype == np.int64
            assert set(np.unique(targets.values)) == set(range(len(targets.names)))
        assert default_task(targets.kind) in TASKS
        assert samples.sources is None or len(set(samples.sources)) == len(samples)


@pytest.fixture
def texts():
    """A plugin with an input of texts and a data set for it, loaded for a while."""
    with registered(INPUTS, "toy_text", Texts), registered(DATASETS, "toy_lines", Lines):
        yield


@pytest.mark.usefixtures("texts")
@pytest.mark.parametrize("plugin", [Lines])
class TestOfTexts(DatasetContract):
    options: ClassVar = {"count": 60}


class Riddles(Lines):
    """Files of texts whose targets no task stands for by itself: numbers as names of classes."""

    class Config(DatasetConfig):
        """Where they are."""

        path_options = ("root",)
        root: str
        """Folder of the files."""

    def load(self):
        files = sorted(Path(self.config.root).glob("*.txt"))
        if not files:
            raise DataError(f"{self.config.root}: holds no texts")
        values = np.array([int(file.stem) % 5 for file in files], np.int64)
        return Samples(RawTargets("classes", values, ("0", "1", "2.5", "10", "-3")), sources=tuple(files))


@pytest.mark.usefixtures("texts")
@pytest.mark.parametrize("plugin", [Riddles])
class TestOfFilesForAStatedTask(DatasetContract):
    task = "regression"

    @pytest.fixture(autouse=True)
    def _entered(self, texts):
        with registered(DATASETS, "toy_riddles", Riddles):
            yield

    def example(self, plugin, folder):
        (folder / "谜 语").mkdir()
        for number in range(40):
            (folder / "谜 语" / f"{number:02d}.txt").write_text(f"riddle {number * 7}", "utf-8")
        return {"root": "谜 语"}


def shuffled(self, samples):
    order = np.random.default_rng().permutation(len(samples))
    return Samples(samples.targets.take(order), items=samples.items[order])


def twice(self, samples):
    rows = np.arange(4)
    return Samples(samples.targets, items=samples.items, splits={"test": rows, "validation": rows})


def riddles(self, samples):
    return Samples(RawTargets("riddles", samples.targets.values, ("x", "y")), items=samples.items)


@pytest.mark.parametrize(
    ("mistake", "test", "message"),
    [
        (shuffled, "test_loading_twice_gives_the_same", "loading twice gives other"),
        (twice, "test_there_is_a_target_for_each_item", "an item is in two splits"),
        (riddles, "test_there_is_a_target_for_each_item", "no task reads riddles"),
    ],
)
def test_a_wrong_data_set_is_caught(mistake, test, message):
    class Mistaken(Lines):
        def load(self):
            return mistake(self, super().load())

    with pytest.raises(AssertionError, match=message):
        getattr(DatasetContract(), test)(Mistaken, {"count": 50})


def test_files_that_are_not_there_are_caught():
    class Mistaken(Lines):
        def sources(self):
            return (Path("not there"),)

    with pytest.raises(AssertionError, match="not there"):
        DatasetContract().test_files_that_alone_make_the_samples_are_there(Mistaken, {})


def test_a_missing_path_that_is_not_told_is_caught(tmp_path):
    class Mistaken(Riddles):
        def load(self):
            raise DataError("no riddles")

    with pytest.raises(AssertionError, match="没有 this"):
        DatasetContract().test_a_missing_path_is_named(Mistaken, {"root": "."}, tmp_path)


@pytest.mark.usefixtures("texts")
def test_paths_that_are_not_declared_are_caught(tmp_path, monkeypatch):
    class Mistaken(Riddles):
        class Config(DatasetConfig):
            """Where they are."""

            root: str
            """Folder of the files."""

    monkeypatch.chdir(tmp_path)
    contract = TestOfFilesForAStatedTask()
    given = {"name": "toy_mistaken", **contract.example(Mistaken, tmp_path)}
    with registered(DATASETS, "toy_mistaken", Mistaken), pytest.raises(DataError, match="holds no texts"):
        contract.test_absolute_paths_hold_in_any_folder(Mistaken, given, tmp_path, monkeypatch)


def test_a_data_set_of_an_unknown_input_is_caught():
    class Mistaken(Lines):
        """Its input was forgotten."""

        input = "sound"

    with pytest.raises(AssertionError, match="there is no input 'sound'"):
        DatasetContract().test_options_are_described(Mistaken)
