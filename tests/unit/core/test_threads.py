"""One thread of linear algebra inside, as many as before outside."""

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from paddle_automl.core.threads import one_blas_thread
from paddle_automl.search.controllers.base import CONTROLLERS
from tests.unit.search.helpers import controller, open_study, script, search


def blas_threads():
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_one_thread_inside_and_as_many_as_before_after_it():
    assert np.linalg.norm(np.eye(3)) > 0
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        with one_blas_thread():
            assert set(blas_threads().values()) == {1}
        assert blas_threads() == before


def test_proposals_are_made_with_one_thread(tmp_path, monkeypatch):
    found = []
    propose = CONTROLLERS["random_search"].propose
    monkeypatch.setattr(
        CONTROLLERS["random_search"],
        "propose",
        lambda self, number, history: found.append(set(blas_threads().values())) or propose(self, number, history),
    )
    with threadpool_limits(limits=2, user_api="blas"), open_study(tmp_path) as study:
        search(study, lambda record: script(0.5), controller=controller("random_search"))
    assert found
    assert all(threads == {1} for threads in found)
