"""What a refit says after its comparison."""

import io

import pytest
from rich.console import Console

from paddle_automl.cli.refit import print_comparison
from paddle_automl.pipeline.jobs.compare import CompareResult, Share


def told(accuracy, old_loss, classes=("lilies",), items=2):
    share = Share(accuracy=0.9, items=20)
    found = CompareResult(
        new_classes=classes,
        before=share,
        after=share,
        remembered=share,
        new_items=share,
        new_class_items=Share(accuracy=accuracy, items=items),
        total=share,
    )
    stream = io.StringIO()
    print_comparison(Console(file=stream, width=500), found, old_loss)
    return stream.getvalue()


def test_a_new_class_that_is_never_found_leads_to_what_helps():
    text = told(0.0, 0.005)
    assert "no item of the new classes is found" in text
    assert "--old-loss 0.02" in text
    assert "--old-loss 1" in text


@pytest.mark.parametrize(("old_loss", "named"), [(0.02, ["1"]), (0.5, ["1"]), (1.0, [])])
def test_only_larger_losses_are_named(old_loss, named):
    text = told(0.0, old_loss)
    assert [word for word in ("0.02", "1") if f"--old-loss {word}" in text.replace(",", " ")] == named
    assert "add items" in text


@pytest.mark.parametrize("changes", [{"accuracy": 0.5}, {"classes": ()}, {"items": 0}])
def test_nothing_is_said_otherwise(changes):
    assert "no item of the new classes" not in told(**{"accuracy": 0.0, "old_loss": 0.005, **changes})
