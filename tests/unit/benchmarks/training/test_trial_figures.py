"""The benchmarks of the loop, of precision, of workers side by side and of a trial's start."""

import io
import json
from dataclasses import asdict

import numpy as np
import pytest
from rich.console import Console

from paddle_automl.benchmarks.command import main
from paddle_automl.benchmarks.kept import Kept, maker
from paddle_automl.benchmarks.training import accuracy, loop_overhead, scaling, startup
from paddle_automl.benchmarks.training.accuracy import DTYPES, PrecisionRequest
from paddle_automl.core.errors import DataError
from paddle_automl.core.files import digest
from paddle_automl.core.runtime import processor_name
from paddle_automl.core.version import VERSION


def printed(function, *arguments):
    console = Console(file=io.StringIO(), width=160)
    function(console, *arguments)
    return console.file.getvalue()


def failed(capsys, *arguments):
    assert main(list(arguments)) == 2
    return capsys.readouterr().err


FIGURES = {
    "title": "net",
    "precision": "float32",
    "steps": 2,
    "loop_s": [1.05, 2.2, 1.06],
    "bare_s": [1.0, 2.0, 1.0],
    "bare_step_s": [0.5, 1.0, 0.5],
    "parts_s": {name: [0.01, 0.02, 0.01] for name in loop_overhead.PARTS},
}


class TestLoop:
    def test_ratios_are_of_the_same_round(self):
        found = loop_overhead.summary_of(FIGURES)
        assert found["overhead"] == pytest.approx(0.06)
        assert found["bare_step_ms"] == pytest.approx(500)
        assert found["parts"]["clipping"] == pytest.approx(0.01)
        assert found["rest"] == pytest.approx(0.06 - 0.08)

    def test_the_table_marks_what_misses_the_target(self):
        found = {"net": "cnn", "dtype": "float32", **loop_overhead.summary_of(FIGURES)}
        assert "1.060 " in printed(loop_overhead.print_overheads, [found])
        assert "1.060 !" not in printed(loop_overhead.print_overheads, [found])
        assert "1.200 !" in printed(loop_overhead.print_overheads, [{**found, "overhead": 0.2}])

    def test_wrong_words(self, capsys):
        assert "--nets: must be all or some of cnn, resnet18, small, got 'cnnn'" in failed(
            capsys, "loop", "--nets", "cnnn"
        )
        assert "--rounds: must be at least 1" in failed(capsys, "loop", "--rounds", "0")


class TestPrecision:
    def summary(self, full, low, ran="bfloat16"):
        kept, requests = Kept(None, "precision"), []
        for dtype, values in zip(DTYPES, (full, low), strict=True):
            for seed, value in enumerate(values):
                requests.append(PrecisionRequest("digits", dtype, seed, {}, None))
                precision = ran if dtype == "bfloat16" else "float32"
                kept.put(asdict(requests[-1]), {"accuracy": value, "precision": precision, "test_images": 100})
        return accuracy.summary_of(requests, kept)

    def test_differences_are_paired_and_judged_by_the_spread_of_float32(self):
        found = self.summary([0.90, 0.92, 0.94], [0.91, 0.92, 0.93])
        assert found["differences"] == pytest.approx([0.01, 0, -0.01])
        assert found["mean_difference"] == pytest.approx(0)
        assert found["spread_of_float32"] == pytest.approx(0.02)
        # Of n = 3 runs the spread is not known, so the limit is Student's quantile of 2 degrees of freedom, not 2.
        assert found["allowed"] == pytest.approx(4.30265 * 0.02 * (2 / 3) ** 0.5, rel=1e-5)
        assert found["within_noise"]
        # A small difference is a real one where float32 hardly varies.
        assert not self.summary([0.900, 0.901, 0.900], [0.89, 0.891, 0.89])["within_noise"]

    @pytest.mark.parametrize("count", [2, 5])
    def test_the_limit_is_exceeded_by_chance_in_one_of_twenty_comparisons(self, count):
        drawn = np.random.default_rng(0).normal(0.9, 0.01, (1000, 2, count))
        beyond = [not self.summary(*pair)["within_noise"] for pair in drawn.tolist()]
        assert 0.03 < np.mean(beyond) < 0.07

    def test_the_table_says_when_bfloat16_did_not_run(self):
        text = printed(
            accuracy.print_differences, {"digits": self.summary([0.9, 0.92], [0.9, 0.92], ran="float32")}
        )
        assert "bfloat16 was not used" in text
        text = printed(accuracy.print_differences, {"digits": self.summary([0.9, 0.92], [0.7, 0.7])})
        assert "mean difference -21.00, noise 17.97: BEYOND it" in text
        assert "bfloat16 was not used" not in text

    def test_wrong_words(self, capsys):
        assert "--seeds: must be at least 2" in failed(capsys, "precision", "--seeds", "1")
        assert "--data: must name the folder" in failed(capsys, "precision", "--tasks", "fashion_mnist")


class TestKept:
    def test_what_was_asked_for_is_found_again(self, tmp_path):
        file, asked = tmp_path / "k.json", {"task": "digits", "config": {"epochs": 3}}
        Kept.load(file, "precision").put(asked, {"accuracy": 0.5})
        again = Kept.load(file, "precision")
        assert again.get(dict(reversed(asked.items()))) == {"accuracy": 0.5}
        assert again.get({**asked, "config": {"epochs": 4}}) is None
        again.save({"all": 1})
        assert json.loads(file.read_text("utf-8"))["summary"] == {"all": 1}

    def test_results_of_several_versions_are_told(self, tmp_path, monkeypatch, capsys):
        file = tmp_path / "k.json"
        # Of a version that did not note what made its results.
        old = {digest({"seed": 0}): {"asked": {"seed": 0}, "figures": {"x": 1}}}
        file.write_text(json.dumps({"command": "precision", "summary": None, "runs": old}), encoding="utf-8")
        kept = Kept.load(file, "precision")
        kept.put({"seed": 1}, {"x": 2})
        kept.save({"all": 1})
        # The old result is none of this command's.
        assert capsys.readouterr().err == ""
        assert kept.get({"seed": 0}) == {"x": 1}
        kept.save({"all": 1})
        told = capsys.readouterr().err
        assert f"these results are of several versions or machines: {maker()}; not known; give another file" in told
        assert json.loads(file.read_text("utf-8"))["made"] == [maker(), "not known"]
        assert VERSION in maker()
        assert processor_name() in maker()

    def test_another_file_is_refused(self, tmp_path):
        file = tmp_path / "k.json"
        file.write_text("[]", encoding="utf-8")
        with pytest.raises(DataError, match=r"holds no results of this command; give another file"):
            Kept.load(file, "precision")
        file.write_text("{", encoding="utf-8")
        with pytest.raises(DataError, match=r"cannot read the results"):
            Kept.load(file, "precision")


class TestScaling:
    kinds = ({"net": scaling.PRODUCT, "dtype": "float32"}, {"net": "cnn", "dtype": "bfloat16"})

    def test_training_is_compared_with_products(self):
        found = scaling.summary_of(self.kinds, [[1.8, 2.0, 1.9], [1.71, 1.9, 1.52]])
        assert found[1]["scaling"] == pytest.approx(1.71)
        assert found[1]["over_product"] == pytest.approx(0.9)
        text = printed(scaling.print_scaling, found, 2)
        assert "0.900 !" in text
        assert "training, cnn" in text

    def test_work_is_counted_between_the_first_and_the_last_mark(self, monkeypatch):
        from paddle_automl.benchmarks.training import scaling_job

        clock = iter([9.0, 10.5, 11.0, 11.5])
        monkeypatch.setattr(scaling_job.time, "time", lambda: next(clock))
        window = scaling_job._Window(10.0, 12.0)
        for _ in range(4):
            window.note(8)
        assert window.rate() == pytest.approx(16.0)
        with pytest.raises(RuntimeError, match="use more --seconds"):
            scaling_job._Window(0, 1).rate()

    def test_wrong_words(self, capsys):
        assert "--workers: must be at least 2" in failed(capsys, "scaling", "--workers", "1")


class TestStartup:
    def test_the_first_trial_stands_apart(self):
        trials = [{name: (1.0, 0.5) for name in startup.PARTS}] + [
            {name: (0.1, 0.02) for name in startup.PARTS}
        ] * 3
        text = printed(startup.print_startup, trials)
        assert "together" in text
        assert all(figure in text for figure in ("7000", "700", "140"))

    def test_wrong_words(self, capsys):
        assert "-o: changes a key of a configuration" in failed(capsys, "startup", "-o", "a=1")
        assert "-o: must be KEY=VALUE, got 'a'" in failed(capsys, "startup", "-o", "a")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["startup", "--rounds", "1"], "first step"),
        (["loop", "--nets", "small", "--dtypes", "float32", "--rounds", "1"], "ResNet of 7 convolutions"),
        (
            ["scaling", "--nets", "small", "--rounds", "1", "--seconds", "3", "--dtypes", "float32"],
            "matrix products",
        ),
        (["precision", "--tasks", "digits", "--seeds", "2"], "digits: test accuracy"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_runs_as_a_command(words, expected, tmp_path, capsys):
    assert main([*words, "--json", str(tmp_path / "figures.json")]) == 0
    assert expected in capsys.readouterr().out
    assert json.loads((tmp_path / "figures.json").read_text("utf-8"))
