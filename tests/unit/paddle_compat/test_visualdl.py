"""What VisualDL reads back of the mended records."""

import numpy as np
import pytest
from visualdl import LogReader, LogWriter

from paddle_automl.paddle_compat.visualdl import MOST_POINTS, add_graph, add_pr_curve


def curve(folder, true, stated):
    with LogWriter(logdir=str(folder)) as writer:
        add_pr_curve(writer, "curve", true, stated)
    record = LogReader(file_path=str(next(folder.glob("vdlrecords.*")))).get_data("pr_curve", "curve")[0].pr_curve
    return np.array(record.precision), np.array(record.recall), record


@pytest.mark.parametrize("count", [40, 3000])
def test_the_points_are_those_of_all_thresholds(tmp_path, count):
    rng = np.random.default_rng(count)
    true = rng.random(count) < 0.1
    true[0] = True
    stated = np.round(np.clip(0.3 * true + rng.random(count) * 0.7, 0, 1), 2)
    precision, recall, record = curve(tmp_path, true, stated)
    chosen = [stated >= threshold for threshold in np.unique(stated)]
    expected = {
        (round(float((true & some).sum() / some.sum()), 6), round(float((true & some).sum() / true.sum()), 6))
        for some in chosen
    }
    found = [(round(float(p), 6), round(float(r), 6)) for p, r in zip(precision, recall, strict=True)]
    assert set(found) <= expected
    assert 2 < len(found) <= MOST_POINTS
    assert list(recall) == sorted(recall, reverse=True)
    assert recall[0] == 1
    assert [a + b + c + d for a, b, c, d in zip(record.TP, record.FP, record.TN, record.FN, strict=True)] == [
        count
    ] * len(found)


def test_a_sure_network_has_no_line_from_the_origin(tmp_path):
    true = np.array([True] * 5 + [False] * 20)
    precision, recall, _ = curve(tmp_path, true, np.where(true, 0.999, 0.001))
    assert (precision > 0).all()
    assert max(precision * recall) == 1


@pytest.mark.slow
def test_the_graph_of_a_network_is_written(tmp_path):
    from paddle import nn
    from paddle.static import InputSpec

    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    with LogWriter(logdir=str(tmp_path)) as writer:
        add_graph(writer, network, [InputSpec([None, 4], "float32", "x")])
    written = next(tmp_path.glob("vdlgraph.*")).read_text()
    assert "relu" in written
    assert "linear" in written.lower()
