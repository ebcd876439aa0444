"""A search in a process of its own, to be killed: python -m tests.unit.search.killed_search FOLDER TRIALS SLEEP

With SLEEP below 0 the jobs hang in native code.
"""

import sys
from pathlib import Path

from paddle_automl.search.coordinator import Coordinator
from paddle_automl.search.executors.base import Job, target_of
from paddle_automl.search.executors.local import Local
from paddle_automl.search.limits import SearchLimits
from tests.unit.search import jobs
from tests.unit.search.helpers import controller, open_study, scheduler


def main(folder, trials, sleep):
    def make_job(record):
        payload = {"pids": str(folder / "pids"), "final": record.params["rate"], "sleep": sleep}
        payload["stuck"] = sleep < 0
        return Job(target_of(jobs.report_pid), payload, folder / f"{record.number}.log", epochs=3)

    with open_study(folder) as study, Local(Local.Config(), workers=2, device="cpu") as executor:
        coordinator = Coordinator(
            study, controller(), scheduler(), executor, make_job, limits=SearchLimits(trials=trials)
        )
        sys.stdout.write(f"{coordinator.run().reason}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
