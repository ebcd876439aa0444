"""The referee: tasks, statistics by hand, replays, the command."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from importlib.util import find_spec

import numpy as np
import pytest

from paddle_automl.benchmarks.command import main
from paddle_automl.benchmarks.kept import Kept, maker
from paddle_automl.benchmarks.search import defaults
from paddle_automl.benchmarks.search import runs as runs_module
from paddle_automl.benchmarks.search.catalogue import task, task_names
from paddle_automl.benchmarks.search.defaults import Renewed, default_of
from paddle_automl.benchmarks.search.foreign import Foreign, Variable
from paddle_automl.benchmarks.search.grid_models import GridTask, linear
from paddle_automl.benchmarks.search.grid_tables import DEVELOPED, GRIDS
from paddle_automl.benchmarks.search.grids import grid_costs
from paddle_automl.benchmarks.search.hub import REGISTRY
from paddle_automl.benchmarks.search.replay import Trace, choose, controller_of, play, result_of
from paddle_automl.benchmarks.search.runs import Results, Run
from paddle_automl.benchmarks.search.synthetic import Conditional, Mixed
from paddle_automl.benchmarks.search.tables import csv_table, npz_tables
from paddle_automl.benchmarks.search.task import Table
from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.space import SearchSpace
from tests.unit.benchmarks.data import DATA, needs_data

RUNS = np.arange(24, dtype=float).reshape(3, 4, 2)
RUNS[0, 0] = [5.0, np.nan]
RUNS[2, 3] = np.nan


def table():
    return Table("small", {"a": ["x", "y", "z"], "b": [1, 2, 4, 8]}, RUNS)


def test_a_table_draws_unused_runs_first():
    rng = np.random.default_rng(0)
    params = {"a": "y", "b": 2}
    assert {table().observe(params, rng, (0,)).cost for _ in range(5)} == {11.0}
    assert {table().observe(params, rng, ()).cost for _ in range(40)} == {10.0, 11.0}
    assert {table().observe(params, rng, (0, 1)).run for _ in range(40)} == {0, 1}
    assert {table().observe({"a": "x", "b": 1}, rng, ()).cost for _ in range(9)} == {5.0}
    assert np.isnan(table().observe({"a": "z", "b": 8}, rng, ()).cost)


def test_normalized_regret_is_0_at_the_best_and_1_at_the_median():
    assert table().best == 2.5
    assert table().regret({"a": "x", "b": 2}) == 0.0
    assert table().typical == np.nanmedian(np.nanmean(RUNS[~np.isnan(RUNS).all(-1)], axis=-1))


def test_a_replay_counts_each_configuration_once_and_survives_missing_values():
    trace = play(table(), controller_of("random", table(), 0), 50, 0)
    assert len(trace.costs) == 12
    assert sum(np.isnan(cost) for cost in trace.costs) == 1
    assert trace.params[trace.best(50)]["a"] == "x"
    again = play(table(), controller_of("random", table(), 0), 50, 0)
    assert (again.params, again.runs) == (trace.params, trace.runs)
    tpe = play(table(), controller_of("tpe", table(), 0), 12, 0)
    assert len({json.dumps(params) for params in tpe.params}) == len(tpe.params)


def test_the_final_choice_sees_through_luck():
    runs = np.full((1, 120, 5), 1.0)
    runs[0, :, :] += np.arange(120)[:, None] / 100
    runs[0, 40, 0] = 0.0  # one lucky run of a mediocre configuration
    noisy = Table("noisy", {"a": ["x"], "b": list(range(120))}, runs)
    for seed in range(20):
        trace = play(noisy, controller_of("random", noisy, seed), 80, seed)
        if trace.costs[trace.best(80)] == 0.0:
            # Its mean of five runs is 1.12.
            assert trace.params[choose(noisy, trace, 100, seed)]["b"] < 12
            break
    else:
        pytest.fail("no seed drew the lucky run early")


@pytest.mark.parametrize("make", [Mixed, Conditional])
def test_a_synthetic_task_has_an_optimum_that_no_random_choice_beats(make):
    problem = make(f"{make.__name__}9", 9)
    rng = np.random.default_rng(1)
    params = [problem.space.sample(rng) for _ in range(500)]
    regrets = [problem.regret(p) for p in params]
    assert min(regrets) > 0
    assert np.median(regrets) == pytest.approx(1, abs=0.2)
    seen = [problem.observe(params[0], rng, ()).cost for _ in range(500)]
    assert np.mean(seen) == pytest.approx(problem.truth(params[0]), abs=0.005)
    assert make(f"{make.__name__}9", 9).truth(params[0]) == problem.truth(params[0])
    assert make("other", 8).truth(params[0]) != problem.truth(params[0])


def test_tables_from_files(tmp_path):
    space = json.dumps({"rate": [0.1, 0.2], "kind": ["a", "b", "c"]})
    np.savez(tmp_path / "t.npz", space=space, goal="maximize", one=np.arange(6.0).reshape(2, 3))
    (loaded,) = npz_tables(tmp_path / "t.npz")
    assert loaded.truth({"table.rate": 0.2, "table.kind": "c"}) == -5.0
    assert task(str(tmp_path / "t.npz"), None).name == "one"
    rows = "rate,kind,cost_1,cost_2\n0.2,a,1,3\n0.1,a,5,5\n0.1,b,6,\n0.2,b,0,0\n"
    (tmp_path / "t.csv").write_text(rows, encoding="utf-8")
    loaded = csv_table(tmp_path / "t.csv")
    assert loaded.truth({"table.rate": 0.2, "table.kind": "a"}) == 2.0
    assert loaded.truth({"table.rate": 0.1, "table.kind": "b"}) == 6.0
    named = "cost_weight,score_threshold,cost\n1,0.5,3\n1,0.7,4\n2,0.5,5\n2,0.7,6\n"
    (tmp_path / "named.csv").write_text(named, encoding="utf-8")
    loaded = csv_table(tmp_path / "named.csv")
    assert list(loaded.choices) == ["table.cost_weight", "table.score_threshold"]
    assert loaded.truth({"table.cost_weight": 2, "table.score_threshold": 0.5}) == 5.0
    (tmp_path / "t.csv").write_text(rows + "0.2,b,1,1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"t.csv:6: duplicate combination"):
        csv_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text(rows.replace("0.1,b,6,\n", ""), encoding="utf-8")
    with pytest.raises(DataError, match=r"1 combinations are missing, the first is {'rate': 0.1, 'kind': 'b'}"):
        csv_table(tmp_path / "t.csv")
    np.savez(tmp_path / "bad.npz", space=space, one=np.zeros((3, 2)))
    with pytest.raises(DataError, match="'one' has shape"):
        npz_tables(tmp_path / "bad.npz")


def test_wrong_words_stop_before_anything_runs(tmp_path, capsys):
    for words, message in [
        (["--tasks", "mixxed0"], "unknown task 'mixxed0'; did you mean 'mixed0'?"),
        (["--tasks", "nas"], "give its folder with --data DIR"),
        (["--controllers", "autos"], "did you mean 'auto'?"),
        (["--controllers", "evolution:populatoin=5"], "did you mean 'population'?"),
        (["--trials", "many"], "--trials: must be whole numbers"),
    ]:
        assert main(["search", *words]) == 2
        assert message in capsys.readouterr().err
    np.savez(tmp_path / "t.npz", space='{"a": [1, 2]}', one=np.zeros(2))
    with pytest.raises(ConfigError, match="unknown table"):
        task(f"{tmp_path}/t.npz:two", None)


def test_the_command_prints_resumes_and_writes_a_page(tmp_path, capsys):
    np.savez(tmp_path / "t.npz", space='{"a": [1, 2, 3, 4], "b": ["x", "y", "z"]}', one=RUNS.reshape(4, 3, 2)[::-1])
    words = ["search", "--tasks", f"{tmp_path}/t.npz", "--controllers", "random,local_search", "--seeds", "2"]
    words += ["--trials", "4,8", "--json", str(tmp_path / "r.json"), "--html", str(tmp_path / "r.html")]
    assert main([*words, "--workers", "1"]) == 0
    printed = capsys.readouterr()
    assert "Normalized regret after 8 trials" in printed.out
    assert "6 of 6 runs" in printed.err
    assert "2 seeds are too few for a test" in " ".join(printed.out.split())
    content = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert len(content["runs"]) == 6
    assert content["summary"]["budgets"]["8"]["standings"][0]["controller"] == "random"
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "data:image/png" in page
    assert "2 seeds are too few for a test" in page
    assert main(words) == 0
    again = capsys.readouterr()
    assert "runs" not in again.err
    assert again.out == printed.out


def test_results_without_anything_usable_are_json_and_can_be_read_again(tmp_path):
    lost = Table("lost", {"a": [1, 2, 3]}, np.array([[np.nan], [1.0], [2.0]]))
    trace = Trace([{"a": 1}], [np.nan], [0], 0.1, 1)
    run, file = Run("lost", "random", 0), tmp_path / "r.json"
    results = Results({run.key: result_of(lost, trace, (1,), 0)})
    results.save(file, {"mean": [np.inf, -np.inf]})

    def refused(word):
        pytest.fail(f"{word} is no JSON")

    assert json.loads(file.read_text(encoding="utf-8"), parse_constant=refused)["summary"] == {"mean": [None, None]}
    for read in (results, Results.load(file)):
        assert read.regrets(["lost"], ["random"], 1, 1, lambda _: "observed").tolist() == [[[np.inf]]]


@pytest.fixture
def in_threads(monkeypatch):
    """Runs of a comparison without further processes."""
    monkeypatch.setattr(runs_module, "ProcessPoolExecutor", lambda workers, mp_context: ThreadPoolExecutor(workers))


@pytest.mark.usefixtures("in_threads")
@pytest.mark.parametrize("lengths", [("8", "4"), ("4,6", "6,8")])
def test_other_budgets_leave_finished_results_as_they_are(tmp_path, lengths, capsys):
    np.savez(tmp_path / "t.npz", space='{"a": [1, 2, 3, 4], "b": ["x", "y", "z"]}', one=RUNS.reshape(4, 3, 2)[::-1])
    words = ["search", "--tasks", f"{tmp_path}/t.npz", "--controllers", "random", "--against", "random"]
    words += ["--seeds", "1", "--workers", "1", "--json", str(tmp_path / "r.json")]

    def runs(trials):
        assert main([*words, "--trials", trials]) == 0
        (run,) = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["runs"].values()
        return run

    before, after = runs(lengths[0]), runs(lengths[1])
    asked = {int(trials) for part in lengths for trials in part.split(",")}
    assert {int(trials) for trials in after["budgets"]} == asked
    assert {trials: after["budgets"][trials] for trials in before["budgets"]} == before["budgets"]
    assert len(after["curve"]) == max(asked)
    assert "1 of 1 runs" in capsys.readouterr().err
    assert runs(lengths[0]) == after
    assert "runs" not in capsys.readouterr().err


@pytest.mark.usefixtures("in_threads")
def test_a_table_whose_file_changed_is_searched_again(tmp_path, monkeypatch, capsys):
    table, file = tmp_path / "t.csv", tmp_path / "r.json"
    words = ["search", "--tasks", str(table), "--controllers", "random", "--against", "random", "--trials", "3"]

    def runs(costs):
        table.write_text("a,cost\n" + "".join(f"{i},{cost}\n" for i, cost in enumerate(costs)), encoding="utf-8")
        assert main([*words, "--seeds", "1", "--workers", "1", "--json", str(file)]) == 0
        return json.loads(file.read_text(encoding="utf-8"))["runs"]

    (first,) = runs([1, 2, 3, 4]).values()
    assert first["made"] == [maker()]
    # A record of an earlier version, which names the path alone, is of nobody knows which table.
    old = {f"{table}|random|0": {name: value for name, value in first.items() if name != "made"}}
    file.write_text(json.dumps({"format": 1, "runs": old}), encoding="utf-8")
    both = runs([4, 3, 2, 9])
    assert len(both) == 2
    assert both.items() >= old.items()
    assert "warning" not in capsys.readouterr().err
    # One that is asked for and was made by something else is told.
    (new,) = both.keys() - old.keys()
    del both[new]["made"]
    file.write_text(json.dumps({"format": 1, "runs": both}), encoding="utf-8")
    monkeypatch.setattr(runs_module, "maker", lambda: "another")
    assert main([*words[:-1], "3,4", "--seeds", "1", "--workers", "1", "--json", str(file)]) == 0
    assert "of several versions or machines: another; not known" in capsys.readouterr().err
    table.unlink()
    assert main([*words, "--json", str(file)]) == 2
    assert "t.csv: cannot read the table: No such file" in capsys.readouterr().err


@needs_data
def test_the_tables_have_their_published_optima():
    nas = task("nas201_cifar10", DATA)
    assert -nas.best == pytest.approx(91.61, abs=0.01)
    assert nas.others["test_accuracy"].max() == pytest.approx(94.37, abs=0.01)
    assert nas.space.size() == 15_625
    assert task("fcnet_parkinsons_telemonitoring", DATA).best == pytest.approx(6.7059e-03, rel=1e-4)
    assert task("fcnet_slice_localization", DATA).best == pytest.approx(1.9160e-04, rel=1e-4)
    assert [-task(f"mlp_{n}", DATA).best for n in ("phoneme", "vehicle")] == pytest.approx(
        [0.9445, 0.9516], abs=1e-4
    )
    assert len(task_names(["tables"], DATA)) == 9


def test_proposals_are_timed_after_histories_of_each_length(tmp_path, capsys):
    words = ["overhead", "--controllers", "random,auto", "--trials", "8,12", "--proposals", "2"]
    assert main([*words, "--json", str(tmp_path / "o.json")]) == 0
    assert "12 trials" in capsys.readouterr().out
    times = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))["milliseconds"]
    assert {name: [len(row) for row in rows.values()] for name, rows in times.items()} == {
        "random": [3, 3],
        "auto": [3, 3],
    }
    for words, message in [
        (["--controllers", "tpe"], "'tpe' is a sampler of Optuna"),
        (["--trials", "x"], "--trials: must be whole numbers"),
        (["--proposals", "0"], "must be at least 1"),
    ]:
        assert main(["overhead", *words]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(("name", "package"), [("smac", "smac"), ("hebo", "HEBO")])
def test_other_projects_optimizers_search_where_they_are_installed(name, package):
    problem = Conditional("conditional9", 9)
    if find_spec(name) is None:
        with pytest.raises(ConfigError, match=rf"cannot import .*; install it \(pip install {package}\)"):
            controller_of(name, problem, 0)
        return
    trace = play(problem, controller_of(name, problem, 0, 6), 6, 0)
    assert len(trace.costs) == 6


def test_tpe_may_see_ordered_choices_as_numbers():
    problem = Conditional("conditional9", 9)
    own = controller_of("tpe_ordered", problem, 0)
    trace = play(problem, own, 12, 0)
    assert len(trace.costs) == 12
    forms = {name: type(form).__name__ for name, form in own._study.trials[-1].distributions.items()}
    batch = own.variables["training.batch"].name
    assert forms[batch] == "IntDistribution"
    assert "CategoricalDistribution" in forms.values()
    again = play(problem, controller_of("tpe_ordered", problem, 0), 12, 0)
    assert again.params == trace.params


def test_samplers_of_the_hub_need_their_packages_or_a_copy(tmp_path, monkeypatch):
    monkeypatch.setenv(REGISTRY, str(tmp_path))
    reason = "--registry DIR" if find_spec("optunahub") else r"install it \(pip install optunahub\)"
    with pytest.raises(ConfigError, match=reason):
        controller_of("hub_auto", Mixed("mixed9", 9), 0)


def test_fresh_tables_are_trained_over_a_whole_grid(tmp_path, monkeypatch, capsys):
    choices = {"alpha": [1e-4, 1e2], "loss": ["hinge"], "penalty": ["l2"], "learning_rate": ["constant"]}
    small = GridTask("wine", choices | {"eta0": [0.1], "average": [False], "scaling": ["standard"]}, linear, 60)
    monkeypatch.setitem(GRIDS, "small", small)
    words = ["grids", "--output", str(tmp_path), "--tables", "small", "--runs", "2"]
    assert main(words) == 0
    (made,) = npz_tables(tmp_path / "small.npz")
    assert made.costs.shape == (2, 1, 1, 1, 1, 1, 1, 2)
    assert 0 <= made.means.min() < 0.2 < made.means.max() <= 1
    assert main(words) == 0
    assert "is there already" in capsys.readouterr().err
    assert main(["grids", "--output", str(tmp_path), "--tables", "smal"]) == 2
    assert "did you mean 'small'?" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", GRIDS)
def test_a_choice_of_a_fresh_table_can_be_trained(name, monkeypatch):
    grid = GRIDS[name]
    middle = {key: [values[len(values) // 2]] for key, values in grid.choices.items()}
    costs = grid_costs(name, replace(grid, choices=middle), 1)
    assert costs.size == 1
    assert 0 < costs.max() < 2


def test_further_synthetic_tasks_are_drawn_by_their_number():
    names = task_names(["drawn"], None)
    assert len(names) == 20
    params = task("mixed9", None).space.sample(np.random.default_rng(0))
    assert len({task(name, None).truth(params) for name in names if name.startswith("mixed")}) == 10


def test_tables_for_development_are_some_of_the_fresh_ones():
    assert set(DEVELOPED) < set(GRIDS)
    assert len(DEVELOPED) * 2 == len(GRIDS)


def test_an_optimizer_with_ask_and_tell_is_told_of_every_trial():
    class Scripted(Foreign):
        """Asks for the same numbers again and again."""

        package = "scripted"

        def _start(self, trials, seed):
            self.told, self.trials = [], trials

        def _ask(self):
            return {v.name: v.high if v.whole else v.low for v in self.variables.values()}

        def _tell(self, cost):
            self.told.append(cost)

    problem = Mixed("mixed9", 9)
    own = Scripted(problem.space, 5, 0)
    trace = play(problem, own, 5, 0)
    # The same choices again are answered from the record until the run ends.
    assert (len(trace.costs), trace.asked) == (1, 21)
    assert own.told == trace.costs * 21
    assert trace.params[0]["model.c0"] == "o3"
    assert trace.params[0]["model.layers"] == 10
    assert trace.params[0]["training.learning_rate"] == 1e-5


def test_what_other_projects_are_told_of_a_decision():
    spec = {
        "a": {"choice": ["x", "y"]},
        "b": {"choice": [8, 2, 4]},
        "c": {"float": [0, 1], "step": 0.25},
        "d": {"int": [3, 3]},
        "e": {"int": [1, 9], "log": True},
    }
    space = SearchSpace.parse(spec)
    a, b, c, d, e = (Variable.of(i, decision.domain) for i, decision in enumerate(space.decisions))
    assert (a.ordered, a.high, a.value(1)) == (False, 1, "y")
    assert (b.ordered, b.value(0), b.value(2)) == (True, 2, 8)
    assert (c.ordered, c.high, c.value(3)) == (True, 4, 0.75)
    assert d.value(0) == 3
    assert (e.options, e.low, e.high, e.log, e.value(4.0)) == ((), 1, 9, True, 4)


@needs_data
def test_the_cheap_signal_of_nas_bench_201():
    assert task_names(["nas12"], DATA)[0] == "nas201_cifar10_12ep"
    problem = task("nas201_cifar10_12ep", DATA)
    params = problem.space.sample(np.random.default_rng(0))
    assert problem.observe(params, np.random.default_rng(0), (0,)).cost == problem.truth(params)
    # Test accuracies are those of 200 epochs.
    assert problem.shown(params) == task("nas201_cifar10", DATA).shown(params)


def test_searches_against_their_default(tmp_path, capsys):
    flat = np.repeat(np.arange(40, dtype=float)[:, None], 3, axis=1) + np.random.default_rng(0).normal(size=(40, 3))
    np.savez(tmp_path / "t.npz", space=json.dumps({"a": list(range(40))}), one=flat)
    table = Renewed("t", {"table.a": list(range(40))}, flat)
    rng = np.random.default_rng(1)
    seen = [table.observe({"table.a": 3}, rng, ()).cost for _ in range(2000)]
    assert np.mean(seen) == pytest.approx(table.truth({"table.a": 3}), abs=0.1)
    assert np.var(seen) == pytest.approx(flat[3].var(ddof=1), rel=0.1)
    assert table.truth(default_of(table, 0.1, 0)) <= np.quantile(table.means, 0.1)
    words = ["defaults", "--tasks", f"{tmp_path}/t.npz", "--trials", "12", "--best", "0.1", "--seeds", "3"]
    words += ["--controller", "random", "--json", str(tmp_path / "d.json")]
    assert main(words) == 0
    printed = capsys.readouterr().out
    rows = json.loads((tmp_path / "d.json").read_text(encoding="utf-8"))["summary"]["rows"]
    assert [row["rule"] for row in rows] == ["observed", "repeats", "shipped"]
    assert {row["searches"] for row in rows} == {3}
    assert rows[2]["worse"] <= rows[0]["worse"]
    assert main(words) == 0
    assert capsys.readouterr().out == printed
    assert main(["defaults", "--tasks", "mixed0", "--trials", "12"]) == 2
    assert "is not a table" in capsys.readouterr().err
    assert main(["defaults", "--tasks", f"{tmp_path}/t.npz", "--best", "0"]) == 2
    assert "--best above 0" in capsys.readouterr().err


def test_a_renewed_table_states_the_same_values_as_likely(monkeypatch, tmp_path):
    expecting = replace(table(), likely={"a": "y"}, others={"size": np.ones((3, 4))})
    monkeypatch.setattr(defaults, "task", lambda name, data: expecting)
    renewed = defaults._renewed("small@best", None)
    assert isinstance(renewed, Renewed)
    assert (renewed.name, renewed.likely, renewed.others) == ("small", expecting.likely, expecting.others)
    assert renewed.costs is expecting.costs
    # Results of searches that expected nothing, or something else, are not theirs.
    kept = Kept(tmp_path / "kept.json", "defaults")
    plain = Renewed(**{field.name: getattr(table(), field.name) for field in fields(Table)})
    for searched in (plain, renewed, replace(renewed, likely={"a": "z"}), renewed):
        defaults._kept(kept, searched, "random", 0.5, 4, 0)
    assert len(kept.runs) == 3


def test_tables_of_one_name_have_their_own_verdicts(tmp_path):
    kept = Kept(tmp_path / "kept.json", "defaults")

    def verdict(*costs):
        table = Renewed("t", {"a": list(range(5))}, np.array(costs, dtype=float)[:, None])
        return defaults._kept(kept, table, "random", 0.5, 4, 0)["observed"]

    rising, falling = verdict(0, 1, 2, 3, 4), verdict(9, 9, 9, 9, 0)
    assert len(kept.runs) == 2
    assert rising != falling
    assert verdict(0, 1, 2, 3, 4) == rising
    assert len(kept.runs) == 2


@needs_data
def test_a_table_may_expect_what_was_best_on_its_sisters(capsys):
    assert "mlp_vehicle@worst" in task_names(["hpo@worst"], DATA)
    good, bad, plain = (task(f"mlp_vehicle{mark}", DATA) for mark in ("@others", "@worst", ""))
    assert good.regret(good.likely) < 0.2 < 1 < bad.regret(bad.likely)
    assert {d.domain.likely for d in good.space.decisions} == set(good.likely.values())
    assert good.space.distributions == plain.space.distributions
    first = controller_of("gaussian_process", good, 0).design()
    assert not np.array_equal(first, controller_of("gaussian_process", plain, 0).design())
    for words, message in [("hpo@other", "did you mean 'others'?"), ("mixed0@others", "only the named tables")]:
        assert main(["search", "--tasks", words, "--data", str(DATA)]) == 2
        assert message in capsys.readouterr().err
