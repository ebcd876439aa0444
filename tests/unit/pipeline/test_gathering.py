"""What a report shows of folders that hold the results of an earlier winner too."""

import json

import pytest

from paddle_automl.core.files import write_json
from paddle_automl.deployment.integrity import file_record
from paddle_automl.pipeline.gathering import material_of
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.reporting.base import SECTIONS
from paddle_automl.reporting.words import Words
from tests.unit.reporting import materials


@pytest.fixture
def folder(tmp_path):
    """A search that has exported trial 3."""
    search = RunFolder(tmp_path)
    search.study.touch()
    search.trial(3).path.mkdir(parents=True)
    search.trial(3).weights.write_bytes(b"now")
    for part in (search.refit, search.compressed):
        part.path.mkdir()
    search.refit.result.write_text('{"epochs_run": 2}')
    search.refit.metrics.write_text('{"epoch": 1, "accuracy": 0.5}\n')
    return search


def manifest(folder, stage, result):
    write_json(folder.manifest(stage), {"stage": stage, "result": result})


def compressed(folder, **changes):
    (folder.compressed.path / "compression.json").write_text(json.dumps({"best": "int8", **changes}))
    return material_of(folder, None).compression is not None


@pytest.mark.parametrize("recorded", [True, False])
def test_a_compression_of_other_weights_is_not_shown(folder, recorded):
    now = file_record(folder.trial(3).weights).sha256
    manifest(folder, "export", {"source": "trials/0003", "weights": now if recorded else None})
    # The search had no time for its chain; this one was run by hand.
    manifest(folder, "compress", None)
    assert compressed(folder, weights=now)
    assert not compressed(folder, weights="0" * 64)


def test_a_compression_of_a_training_is_that_of_its_weights(tmp_path):
    run = RunFolder(tmp_path)
    run.compressed.path.mkdir()
    run.config.touch()
    run.weights.write_bytes(b"now")
    assert compressed(run, weights=file_record(run.weights).sha256)
    assert not compressed(run, weights="0" * 64)


def test_an_old_record_is_shown_where_the_search_has_one(folder):
    manifest(folder, "export", {"source": "trials/0003"})
    assert compressed(folder), "by hand"
    manifest(folder, "compress", {"best": "int8"})
    assert compressed(folder)
    manifest(folder, "compress", None)
    assert not compressed(folder)


def test_a_refit_of_an_earlier_winner_is_not_shown(folder):
    for result, there in (({"epochs_run": 2}, True), (None, False)):
        manifest(folder, "refit", result)
        found = material_of(folder, None)
        assert (found.refit is not None, len(found.refit_curve)) == (there, int(there))
    folder.manifest("refit").unlink()
    assert len(material_of(folder, None).refit_curve) == 1, "it is running"


@pytest.mark.parametrize("kept", ["", "no time was left for the final export"])
def test_a_bundle_that_was_kept_is_not_called_better(folder, monkeypatch, kept):
    manifest(folder, "export", {"source": "trials/0003", "kept": kept})
    material = material_of(folder, None)
    section = SECTIONS["curves"]()
    monkeypatch.setattr(section, "_chart", lambda *_: None)
    content = section.content(materials.whole(source=material.source, kept=material.kept))
    first = section.blocks(content, Words("en", section.texts))[0]
    assert ("has not replaced an earlier bundle, which was exported from trials/0003" in first.text) == bool(kept)
    assert ("better on validation" in first.text) != bool(kept)
