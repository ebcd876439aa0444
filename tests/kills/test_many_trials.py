"""Memory and file descriptors of a search do not grow with its trials."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
TRIALS, WARM = 200, 60
MOST_MB = 20.0
"""Growth over 140 trials: the records of the trials themselves, and what Optuna keeps of each (60 KB in all)."""


def test_200_trials_at_constant_memory_and_file_descriptors(tmp_path):
    output = tmp_path / "output"
    config = {
        "output": str(output),
        "data": {"dataset": "digits"},
        "model": {"backbone": {"name": "resnet", "width": 4, "blocks": [1]}},
        "training": {"epochs": 1, "batch_size": 128},
        "visualdl": False,
        "search": {
            "controller": "random_search",
            "trials": TRIALS,
            "workers": 2,
            "space": {"training.optimizer.learning_rate": {"log": [0.001, 0.3]}},
        },
    }
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    seen = {}
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, str(ROOT / "tools/search.py"), "-c", str(file)]
        with subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as search:
            coordinator = psutil.Process(search.pid)
            while search.poll() is None:
                trials = len(list(output.glob("trials/*/result.json")))
                try:
                    seen.setdefault(trials, (coordinator.memory_info().rss / 2**20, coordinator.num_fds()))
                except psutil.NoSuchProcess:
                    break
                time.sleep(0.2)
    assert search.returncode == 0, (tmp_path / "log").read_text(encoding="utf-8")[-2000:]
    kept = {trials: facts for trials, facts in seen.items() if WARM <= trials < TRIALS}
    assert len(kept) > 20
    first, last = kept[min(kept)], kept[max(kept)]
    assert last[0] - first[0] < MOST_MB, kept
    # A pipe and a sentinel for each running trial.
    assert max(fds for _, fds in kept.values()) <= first[1] + 6, kept
