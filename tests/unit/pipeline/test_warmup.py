"""What begins early: the executor that the configuration names."""

import pytest

from paddle_automl.pipeline.jobs import warmup
from paddle_automl.search.executors.local import Local


@pytest.fixture
def prepared(monkeypatch):
    calls = []
    monkeypatch.setattr(Local, "prepare", lambda preload: calls.append(preload))
    return calls


@pytest.mark.parametrize(
    ("text", "overrides", "times"),
    [
        ("seed: 1", {}, 1),
        ("search: {executor: local}", {}, 1),
        ("search: {executor: {name: local, threads: 1}}", {}, 1),
        ("search: {executor: {threads: 1}}", {}, 1),
        ("search: {executor: my_cluster}", {}, 0),
        ("seed: 1", {"search.executor": "my_cluster"}, 0),
        ("search: {executor: [", {}, 0),
    ],
)
def test_the_named_executor_prepares_itself(prepared, tmp_path, text, overrides, times):
    (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
    warmup.begin(str(tmp_path / "c.yaml"), overrides)
    assert prepared == [(warmup.PRELOAD,)] * times


def test_without_a_configuration_jobs_run_here(prepared):
    warmup.begin()
    assert prepared == [(warmup.PRELOAD,)]
