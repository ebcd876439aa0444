"""The command `qtable` on a study's file."""

import json

import pytest

from paddle_automl.cli.qtable import main
from tests.unit.search.helpers import controller, open_study


def searched(folder, trials):
    own = controller("q_learning", initial_trials=4)
    with open_study(folder) as study:
        for _ in range(trials):
            record = study.ask(own)
            accuracy = 0.5 + (record.params["net"] == "plain") / 4 - record.params["drop"] / 2
            study.complete(record.number, {"accuracy": accuracy}, {1: accuracy})
        study.ask(own)
    return folder


def test_prints_and_draws_the_values_of_a_study(tmp_path, capsys):
    folder = searched(tmp_path, 14)
    assert main([str(folder)]) == 0
    assert (folder / "q_table.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "net[wide].width" in printed
    assert main([str(folder), "--json"]) == 0
    table = {(row["decision"], row["choice"]): row for row in json.loads(capsys.readouterr().out)}
    assert table["net", "plain"]["value"] > 0 > table["net", "wide"]["value"]
    assert table["net", "plain"]["count"] + table["net", "wide"]["count"] == 14
    assert main([str(folder), "--variant", "metaqnn"]) == 0
    assert "net=plain" in capsys.readouterr().out


def test_the_table_of_metaqnn_is_strict_json_and_not_drawn(tmp_path, capsys):
    folder = searched(tmp_path, 6)
    assert main([str(folder), "--variant", "metaqnn", "--json"]) == 0
    # NaN is no JSON.
    table = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    untried = [row for row in table if row["count"] == 0]
    assert untried
    assert all(row["spread"] is None for row in untried)
    assert all(row["spread"] >= 0 for row in table if row["count"])
    assert main([str(folder), "--variant", "metaqnn", "--png", str(tmp_path / "own.png")]) == 2
    assert "--png: the table of metaqnn is not drawn" in capsys.readouterr().err
    assert main([str(folder), "--variant", "metaqnn"]) == 0
    assert "nan" not in capsys.readouterr().out


def test_a_folder_without_a_study_or_without_results(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "there is no study; give the output folder of a search" in capsys.readouterr().err
    assert main([str(searched(tmp_path, 0))]) == 2
    assert "no trial of the search has a result yet" in capsys.readouterr().err
    (tmp_path / "study.db").write_bytes(b"nonsense" * 100)
    assert main([str(tmp_path)]) == 2
    assert "cannot read the study" in capsys.readouterr().err
