"""The benchmark of accuracy, with a fake in place of the search command."""

import json
import shutil
from pathlib import Path

import pytest

from paddle_automl.benchmarks.accuracy import command
from paddle_automl.benchmarks.accuracy.folds import make_fold
from paddle_automl.benchmarks.command import main
from paddle_automl.core.errors import ConfigError
from paddle_automl.data.datasets.image_folder import ImageFolder
from paddle_automl.pipeline.runs.folder import RunFolder

BUNDLE = Path(__file__).parents[3] / "data" / "bundle_format2"
FAKE = f"""
import pathlib, shutil, sys, yaml
given = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
assert given["budget.time"] == "3s" and given["training.epochs"] == "2"
if given.get("data.dataset.layout") == "splits":
    root = pathlib.Path(given["data.dataset.root"])
    assert len(list((root / "test").rglob("*.png"))) == 2
    assert len(list((root / "train").rglob("*.png"))) == 4
root = given.get("data.dataset.root", ".")
if not pathlib.Path(root).is_dir():
    sys.exit(f"error: there is no folder {{root}}")
output = pathlib.Path(given["output"])
output.mkdir()
if given["seed"] == "2":
    print("error: the reason")
    sys.exit(2)
cut = given["seed"] == "4"
shutil.copytree({str(BUNDLE)!r}, output / "model")
file = output / "model" / "bundle.yaml"
info = yaml.safe_load(file.read_text(encoding="utf-8"))
info["metrics"]["test"] = {{}} if cut else {{"accuracy": 0.9 + 0.02 * int(given["seed"])}}
file.write_text(yaml.safe_dump(info), encoding="utf-8")
if cut:
    print("[the refit]\\nkilled")
    sys.exit(1)
"""


@pytest.fixture
def words(tmp_path, monkeypatch):
    file = tmp_path / "search.py"
    file.write_text(FAKE, encoding="utf-8")
    monkeypatch.setattr(command, "TOOL", file)
    config = tmp_path / "config.yaml"
    config.write_text("{}", encoding="utf-8")
    kept = tmp_path / "kept.json"
    return ["accuracy", "-c", str(config), "-o", "training.epochs=2", "--minutes", "0.05", "--json", str(kept)]


def test_means_over_seeds_and_results_that_are_kept(words, capsys):
    assert main([*words, "--seeds", "2"]) == 0
    out = capsys.readouterr().out
    assert "0.05 min: test 0.9100 +- 0.0100 over 2 seeds" in out
    runs = json.loads(Path(words[-1]).read_text(encoding="utf-8"))["runs"]
    assert sorted(run["asked"]["seed"] for run in runs.values()) == [0, 1]
    assert all(run["figures"]["verified"] for run in runs.values())
    # A search without a bundle is told; the others are not run again.
    before = Path(words[-1]).read_text(encoding="utf-8")
    assert main([*words, "--seeds", "3"]) == 2
    shown = capsys.readouterr()
    assert "1 of 3 searches failed; 1 of them left no verified bundle" in shown.err
    assert "0.05 min: test 0.9100 +- 0.0100 over 2 of 3 seeds" in shown.out
    assert "0.05 min, seed 2: exit code 2: error: the reason" in shown.out
    after = json.loads(Path(words[-1]).read_text(encoding="utf-8"))["runs"]
    assert {key: after[key] for key in json.loads(before)["runs"]} == json.loads(before)["runs"]
    (failed,) = [run["figures"] for run in after.values() if run["asked"]["seed"] == 2]
    assert failed["last_lines"] == ["error: the reason"]
    assert failed["test"] is None


def test_a_search_that_ends_after_an_interim_bundle_has_failed(words, capsys):
    assert main([*words, "--seeds", "5"]) == 2
    shown = capsys.readouterr()
    assert "2 of 5 searches failed; 1 of them left no verified bundle" in shown.err
    assert "0.05 min, seed 4: exit code 1: [the refit] | killed" in shown.out
    assert "over 3 of 5 seeds" in shown.out
    runs = json.loads(Path(words[-1]).read_text(encoding="utf-8"))["runs"]
    (cut,) = [run["figures"] for run in runs.values() if run["asked"]["seed"] == 4]
    assert (cut["verified"], cut["test"], cut["exit_code"]) == (True, None, 1)


def test_results_are_kept_for_what_a_configuration_says(words):
    config, kept = Path(words[2]), Path(words[-1])

    def runs():
        assert main([*words, "--seeds", "1"]) == 0
        return len(json.loads(kept.read_text(encoding="utf-8"))["runs"])

    assert runs() == 1
    # Another spelling is the same configuration.
    config.write_text("# nothing is set\n{}\n", encoding="utf-8")
    assert runs() == 1
    config.write_text("training: {batch_size: 8}\n", encoding="utf-8")
    assert runs() == 2
    base = config.with_name("base.yaml")
    base.write_text("training: {batch_size: 8}\n", encoding="utf-8")
    config.write_text("_base_: base.yaml\n", encoding="utf-8")
    assert runs() == 2
    base.write_text("training: {batch_size: 16}\n", encoding="utf-8")
    assert runs() == 3


def test_the_default_budgets_are_those_that_are_named(words, monkeypatch):
    asked = []
    figures = {"exit_code": 0, "verified": True, "took_s": 1.0, "metric": "accuracy", "test": 0.9}
    figures |= dict.fromkeys(("first_bundle_s", "trials", "validation", "size_mb", "latency_ms"))
    monkeypatch.setattr(command.TimedSearch, "measure", lambda self: asked.append(self.minutes) or figures)
    default = [word for word in words if word not in ("--minutes", "0.05")]
    assert main([*default, "--seeds", "1"]) == 0
    assert main([*default, "--seeds", "1", "--minutes", "1", "5"]) == 0
    assert asked == [1.0, 5.0]


def test_paths_are_those_of_the_callers_folder_and_failed_searches_are_run_again(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words += ["-o", "data.dataset.root=photos", "--seeds", "1"]
    assert main(words) == 2
    (tmp_path / "photos").mkdir()
    assert main(words) == 0
    (run,) = json.loads((tmp_path / "kept.json").read_text(encoding="utf-8"))["runs"].values()
    assert run["figures"]["verified"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "kept.json", "photos", "search.py"]


@pytest.mark.parametrize(
    ("more", "message"),
    [(["-c", "nowhere.yaml"], "no configuration nowhere.yaml"), (["--seeds", "0"], "at least 1")],
)
def test_what_cannot_be_run(words, more, message, capsys):
    assert main([*words, *more]) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def images(tmp_path):
    """Three images of each of two classes."""
    for place in ("left", "right"):
        (tmp_path / "images" / place).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "images" / place / f"{number}.png").write_text(f"{place} {number}")
    return tmp_path / "images"


def of_folder(root):
    return ImageFolder(ImageFolder.Config(name="image_folder", root=str(root))).load()


def test_each_image_is_tested_in_one_fold(images, tmp_path):
    tested = []
    for fold in range(3):
        folder = make_fold(of_folder(images), tmp_path / f"fold{fold}", fold, 3)
        parts = {
            split: [path.read_text() for path in (folder / split).rglob("*.png")] for split in ("train", "test")
        }
        assert len(set(parts["train"]) | set(parts["test"])) == 6
        tested += parts["test"]
    assert len(tested) == len(set(tested)) == 6
    with pytest.raises(ConfigError, match="--folds is 4, but 'left' has 3 images"):
        make_fold(of_folder(images), tmp_path / "many", 0, 4)


def test_folds_have_the_classes_of_the_data_set(images, tmp_path):
    for place in (".thumbnails", "left/.hidden", "output/samples"):
        (images / place).mkdir(parents=True)
        (images / place / "0.png").write_text("no item")
    (images / "output" / "study.db").touch()
    # A folder that wraps the classes, and a link.
    (images / "right" / "3.PNG").symlink_to("../left/0.png")
    folder = make_fold(of_folder(images.parent), tmp_path / "fold", 0, 3)
    for split in ("train", "test"):
        assert sorted(path.name for path in (folder / split).iterdir()) == ["left", "right"]
    texts = sorted(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert texts == sorted(["left 0", *(f"{place} {number}" for place in ("left", "right") for number in range(3))])


@pytest.mark.parametrize("layout", ["auto", "splits"])
def test_splits_of_a_folder_are_no_classes(words, images, tmp_path, layout, capsys):
    splits = tmp_path / "splits"
    for split in ("train", "test"):
        shutil.copytree(images, splits / split)
    data = ["-o", f"data.dataset={{name: image_folder, root: {splits}, layout: {layout}}}"]
    assert main([*words, *data, "--folds", "3"]) == 2
    assert "--folds draws the test splits, but the folder has the splits train, test" in capsys.readouterr().err
    assert not Path(words[-1]).exists()


def test_searches_on_folds(words, images, capsys):
    data = ["-o", f"data.dataset={{name: image_folder, root: {images}}}"]
    # The fake refuses the last of three folds.
    assert main([*words, *data, "--folds", "3"]) == 2
    shown = capsys.readouterr()
    assert "0.05 min: test 0.9100 +- 0.0100 over 2 of 3 folds" in shown.out
    assert "1 of 3 searches failed; 1 of them left no verified bundle" in shown.err


def test_folds_need_a_folder_of_images(words, capsys):
    assert main([*words, "--folds", "2"]) == 2
    assert "--folds needs one folder of images" in capsys.readouterr().err


def test_what_compression_made_is_read_from_the_summary(tmp_path):
    made = {
        "bundle": "x/quantize_post",
        "metrics": {"compression": {"metric": "accuracy", "score": 0.89, "drop": 0.004}},
        "latency": [{"batch_size": 1, "p50_ms": 3.0}, {"batch_size": 8, "p50_ms": 20.0}],
        "size_mb": 4.2,
    }
    folder = RunFolder(tmp_path)
    folder.summary.write_text(json.dumps({"compression": {"bundles": [made]}}), encoding="utf-8")
    (found,) = command._compressed_of(folder)
    lost = {"metric": "accuracy", "drop": 0.004}
    assert found == {"name": "quantize_post", **lost, "size_mb": 4.2, "latency_ms": 3.0}
    folder.summary.write_text(json.dumps({"compression": None}), encoding="utf-8")
    assert command._compressed_of(folder) == []
