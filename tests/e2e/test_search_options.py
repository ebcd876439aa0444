"""Options of the search together, in real searches: repeats, several objectives, schedulers, warm starts."""

import json
import subprocess
import sys
import threading

import pytest
import yaml

from tests.e2e.conftest import ROOT, TINY, run_tool, write_config

OPTIONS = {
    "controller": "auto",
    "cost_aware": True,
    "scheduler": "hyperband",
    "objectives": [{"metric": "accuracy"}, {"metric": "parameters", "limit": 200000}],
    "trials": 9,
    "final_repeats": 3,
}


@pytest.mark.slow
def test_repeats_after_a_kill_with_two_objectives_and_a_warm_start(searched, tmp_path):
    _, other, _ = searched
    output = tmp_path / "output"
    search = {**TINY["search"], **OPTIONS, "warm_start": [str(other)]}
    file = write_config(tmp_path, {**TINY, "output": str(output), "search": search})
    command = [sys.executable, str(ROOT / "tools/search.py"), "-c", str(file)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # A search that prints nothing more is killed too, and the loop ends without the line.
    watchdog = threading.Timer(240, first.kill)
    watchdog.start()
    try:
        assert any(" again, repeat 1" in line for line in first.stdout), first.stderr.read()
    finally:
        watchdog.cancel()
        first.kill()
    first.communicate()

    ran = run_tool("search", "-c", file)
    assert ran.code == 0, ran.err
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    trials = summary["trials"]
    counted = [t for t in trials if t["duplicate_of"] is None and t["reason"] != "interrupted"]
    assert len(counted) == 9
    again = [t for t in counted if t["repeat_of"] is not None]
    assert len(again) == 3
    assert all(t["state"] == "complete" for t in again)
    assert [t["repeat_of"] is not None for t in trials if t["reason"] == "interrupted"].count(True) >= 1
    choice = summary["final_choice"]
    assert choice["trial"] == summary["best_trial"]
    assert len(choice["runs"]) >= 2
    assert "final choice: trial" in ran.out
    assert "of them repeats for the final choice" in ran.out
    seeds = {
        t["number"]: yaml.safe_load((output / f"trials/{t['number']:04d}/config.yaml").read_text("utf-8"))["seed"]
        for t in counted
    }
    assert all(seeds[t["number"]] > 0 for t in again)
    assert {seeds[t["number"]] for t in counted if t["repeat_of"] is None} == {0}
    assert set(summary["pareto"]) <= {t["number"] for t in counted if t["repeat_of"] is None}
