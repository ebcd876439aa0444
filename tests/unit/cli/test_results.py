"""Commands that are printed can be pasted into a shell and work; tables show names as they are."""

import io
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from paddle_automl.cli.results import (
    _flops_text,
    _source_text,
    _validated_on,
    print_dry_run,
    quoted,
    search_commands,
)
from paddle_automl.pipeline.progress.display import best_table
from paddle_automl.search.configurations import Configuration
from paddle_automl.search.records import TrialRecord
from tests.unit.search.helpers import ACCURACY


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    "name", ["a b", "it's", "[x] $HOME `id`", "图 1", "a\x1b[31mb", "a\nb'c\\d", "\u202egnp", "-x", "caf\u0301e"]
)
def test_a_path_can_be_pasted_and_does_not_control_the_terminal(name):
    text = quoted(Path(name))
    assert text.isprintable() or "\u0301" in text
    found = subprocess.run(
        ["bash", "-c", f"printf %s {text}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert found.stdout.decode() == name


@pytest.mark.parametrize(("test", "last"), [(0, "out --split validation"), (3, "out")])
def test_a_search_without_a_test_split_suggests_the_validation_split(test, last):
    result = SimpleNamespace(
        output=Path("out"), data=SimpleNamespace(test=test), bundle=SimpleNamespace(bundle=Path("out/model"))
    )
    _, evaluate, train = search_commands(SimpleNamespace(plugins=()), result)
    assert evaluate.endswith(f" -m {last}")
    assert train.endswith(" -c out/best.yaml")


def test_the_plugins_of_a_search_are_in_its_commands():
    result = SimpleNamespace(
        output=Path("out"), data=SimpleNamespace(test=1), bundle=SimpleNamespace(bundle=Path("out/model"))
    )
    predict, evaluate, train = search_commands(SimpleNamespace(plugins=("a.b", "./my\nown.py")), result)
    code = r" --plugin a.b --plugin $'./my\nown.py'"
    assert (code in predict, code in evaluate, code in train) == (True, True, False)


def test_a_dry_run_names_the_files_that_are_left_out():
    candidate = SimpleNamespace(flops=1, parameters=1, epoch_s=1, trial_s=1)
    data = SimpleNamespace(
        names=["cat [a]"],
        inputs=[],
        task="single_label",
        word="image",
        train=3,
        validation=2,
        test=1,
        skipped_files=[("p/[bold]x\n.png", "is not a regular file"), ("p/y.png", "is damaged")],
    )
    times = SimpleNamespace(data=data, smallest=candidate, largest=candidate)
    stream = io.StringIO()
    print_dry_run(Console(file=stream, width=200), SimpleNamespace(times=times, size=1, decisions=0, fits="1"))
    rows = [line.split() for line in stream.getvalue().splitlines()]
    assert ["left", "out:", "p/[bold]x\\n.png", "is", "not", "a", "regular", "file"] in rows
    assert ["left", "out:", "p/y.png", "is", "damaged"] in rows
    assert ["task", "single_label:", "cat", "[a]"] in rows


def test_where_the_exported_weights_come_from(tmp_path):
    def told(source, refit=True, kept=""):
        best, record = SimpleNamespace(number=3), SimpleNamespace(epochs_run=9) if refit else None
        bundle = SimpleNamespace(kept=kept)
        found = SimpleNamespace(output=tmp_path, source=source, refit=record, best=best, bundle=bundle)
        return _source_text(found)

    assert told("refit") == "the refit of trial 3's configuration (9 epochs)"
    assert told("trials/0003", refit=False) == "the weights of trial 3: there was no refit"
    assert told("fine_tuned/low_rate").startswith("the network of trial 3, fine-tuned (fine_tuned/low_rate)")
    assert told("ensemble/joined").startswith("an ensemble of the best trials in one network (ensemble/joined)")
    late = "no time was left for the final export"
    assert told("ensemble/joined", kept=late) == f"an earlier bundle, of the ensemble: {late}"
    assert told("trials/0001", kept=late) == f"an earlier bundle, of trial 1: {late}"
    assert told("", kept=late) == f"an earlier bundle, of a network whose weights are gone: {late}"


def test_with_folds_it_is_told_which_values_are_means(tmp_path):
    def told(source, folds=(5, 5), on="train+validation", kept=""):
        part = f"{folds[0]} of 5 folds" if folds and folds[0] < 5 else ""
        best, winner = SimpleNamespace(number=3, folds=folds), SimpleNamespace(folds_text=part)
        bundle = SimpleNamespace(kept=kept, metrics={"validation": {"accuracy": 0.5}})
        refit = SimpleNamespace(on=on)
        return _validated_on(
            SimpleNamespace(
                output=tmp_path, source=source, refit=refit, best=best, bundle=bundle, configurations=[winner]
            )
        )

    assert told("trials/0003") == "the first of 5 folds alone"
    assert told("refit") == "mean over 5 folds"
    assert told("refit", folds=(1, 5)) == "1 of 5 folds"
    assert told("refit", on="train") == told("trials/0003", folds=None) == told("trials/0003", kept="late") == ""


@pytest.mark.parametrize(("folds", "title"), [(None, "best"), ((5, 5), "best; values are means over 5 folds")])
def test_the_table_of_trials_tells_of_folds(folds, title):
    record = TrialRecord(0, {}, "complete", values=(0.5,), folds=folds)
    table = best_table([Configuration(record, (record,), (0.5,))], ACCURACY, lambda record: "", "best")
    assert table.title == title


def test_a_trial_of_a_part_of_the_folds_is_marked_in_the_table():
    record = TrialRecord(0, {}, "pruned", values=(0.5,), folds=(1, 5))
    table = best_table([Configuration(record, (record,), (0.5,))], ACCURACY, lambda record: "", "best")
    assert [str(cell) for cell in table.columns[1].cells] == ["pruned, 1 of 5 folds"]


@pytest.mark.parametrize(
    ("flops", "text"), [(384, "384 FLOPs"), (9_999.0, "9,999 FLOPs"), (10_000, "0.01 million FLOPs")]
)
def test_few_operations_are_not_shown_as_none(flops, text):
    assert _flops_text(flops) == text
