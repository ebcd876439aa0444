"""Predict with an exported bundle alone."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddle_automl.cli.common import NOT_AS_DEMANDED, OK, add_plugin_argument, main_of, output_target, print_json
from paddle_automl.core.errors import ConfigError, ParityError
from paddle_automl.core.files import write_text
from paddle_automl.core.log import as_sentences
from paddle_automl.core.plugins import load_plugins
from paddle_automl.core.streams import complain

if TYPE_CHECKING:
    from paddle_automl.cli.tables import TableTexts
    from paddle_automl.deployment.predictor import Predictor

SUMMARY = "Predict classes, labels or numbers for files, folders or lists with an exported model."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "items",
        nargs="+",
        help="files such as images, folders, or .txt lists of files; for a model of texts: texts, .txt files with "
        "one each, or tables (.csv, .tsv, .jsonl)",
    )
    parser.add_argument("-m", "--model", required=True, metavar="PATH", help="a bundle, a run or a trial folder")
    parser.add_argument(
        "--top", type=int, default=3, metavar="K", help="classes or labels shown per item (default: 3)"
    )
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="items at a time (default: 32)")
    parser.add_argument("--device", default="cpu", help="cpu or gpu:N (default: cpu)")
    parser.add_argument(
        "--runtime",
        default="auto",
        metavar="NAME",
        help="auto (the bundle's fastest), paddle, onnx, openvino, or a format of the bundle (default: auto)",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of the runtime (default: 1)")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="also show where the time goes: loading, first call, decoding, preprocessing, network, answers",
    )
    parser.add_argument(
        "--no-unknown",
        action="store_true",
        help="always answer with one of the classes, also for items that look like none of them",
    )
    parser.add_argument(
        "--text",
        action="append",
        metavar="COLUMN",
        help="column of the tables with the texts; several are joined (default: as in training)",
    )
    parser.add_argument(
        "--encoding",
        metavar="NAME",
        help="encoding of files of texts, such as cp1252 or gb18030 (default: UTF-8 or UTF-16 if they are that, "
        "else the one stated in training, or the likeliest)",
    )
    parser.add_argument(
        "--explain",
        type=int,
        nargs="?",
        const=5,
        metavar="K",
        help="show the K parts (n-grams of a text) that spoke most for and against each answer (default: 5)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", metavar="FILE", nargs="?", const="-", help="write JSON to FILE, or to the terminal")
    form.add_argument(
        "--csv",
        metavar="FILE",
        help="write CSV (UTF-8 with BOM, a column per class, label or number) to FILE; of a table the table again, "
        "with label, probability and runner-up",
    )
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Predict and print; an item that cannot be read is reported and makes the exit code 1."""
    with as_sentences():
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    from paddle_automl.cli.explaining import as_records, as_text, explained
    from paddle_automl.cli.tables import predicted_rows
    from paddle_automl.deployment.output import as_csv, as_json, as_table, with_answers
    from paddle_automl.deployment.predictor import Predictor

    for option, value in (("--batch-size", args.batch_size), ("--top", args.top), ("--explain", args.explain)):
        if value is not None and value < 1:
            raise ConfigError(f"{option}: must be at least 1, got {value}")
    target = output_target("--csv", args.csv, args.items) if args.csv else None
    if args.json and args.json != "-":
        target = output_target("--json", args.json, args.items)
    load_plugins(args.plugin)
    bundle = bundle_of(args.model)
    predictor = Predictor(
        bundle, device=args.device, threads=args.threads, runtime=args.runtime, reject=not args.no_unknown
    )
    task = predictor.task
    rows = _rows(predictor, args)
    if args.profile:
        from paddle_automl.cli.profiling import show_profile

        show_profile(bundle, args, None if rows is None else rows.texts)
    items: Sequence[Any]
    if rows is not None:
        items, predictions = rows.texts, predicted_rows(predictor, rows, batch_size=args.batch_size)
    else:
        predictions = predictor.predict(predictor.input.find(args.items), batch_size=args.batch_size)
        items = [item.source for item in predictions]
    reasons, extra = "", None
    if args.explain is not None:
        if args.csv:
            raise ConfigError("--explain: has no form in a CSV file; leave --csv out, or use --json")
        read = [
            None if item.error else predictor.read(source) for item, source in zip(predictions, items, strict=True)
        ]
        found = explained(predictor, read)
        reasons, extra = (
            as_text(predictor, predictions, found, args.explain),
            as_records(predictor, predictions, found, args.explain),
        )
    if target is not None:
        csv = as_csv(predictions, task) if rows is None else with_answers(rows.columns, predictions, task)
        write_text(target, csv if args.csv else as_json(predictions, task, extra))
        print(f"{len(predictions)} predictions written to {target}")
    elif args.json:
        print_json(as_json(predictions, task, extra))
    else:
        print(as_table(predictions, task, top=args.top, word=predictor.input.word))
        if reasons:
            print(f"\n{reasons}")
    return NOT_AS_DEMANDED if any(item.error for item in predictions) else OK


def _rows(predictor: Predictor, args: argparse.Namespace) -> TableTexts | None:
    """Return the rows of the tables of texts that the command names, or None if it names other items."""
    from paddle_automl.cli.tables import are_tables, check_words, table_texts, trained_encoding
    from paddle_automl.inputs.text import TextInput
    from paddle_automl.inputs.text.files import TextReader

    media = predictor.input.media
    reads_texts = media is not None and media.kind == "text"
    if reads_texts and not args.text:
        check_words(args.items)
    if args.text or (reads_texts and are_tables(args.items)):
        return table_texts(predictor, args.items, args.text, args.encoding)
    if isinstance(predictor.input, TextInput):
        predictor.input.files = TextReader(args.encoding, trained_encoding(predictor))
    elif args.encoding:
        raise ConfigError(f"--encoding: is that of files of texts, but the model takes {predictor.input.word}s")
    return None


def bundle_of(path: str) -> Path:
    """Return the bundle that ``-m`` names; a run that has none yet is exported first."""
    from paddle_automl.core.paths import located
    from paddle_automl.pipeline.runs.folder import RunFolder

    folder = RunFolder(located(path))
    bundle = folder.find_bundle()
    if bundle is not None:
        return bundle
    from paddle_automl.pipeline.commands import export_run
    from paddle_automl.pipeline.runs.sources import open_run

    open_run(folder.path)
    complain(f"{folder.path} holds no exported model yet; exporting it to {folder.bundle}")
    outcome = export_run(folder.path)
    if not outcome.verified:
        raise ParityError(outcome.parity_text())
    return outcome.bundle


main = main_of(add_arguments, run)
