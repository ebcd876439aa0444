"""Decides whether the subfolders of a folder are classes, or splits with class folders inside."""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import located, readable
from paddle_automl.data.class_names import check_distinct, composed
from paddle_automl.data.datasets._trees import Top, Tree
from paddle_automl.data.samples import SPLITS
from paddle_automl.inputs.folders import ItemFiles, counted, mark_of_result, subfolders, why_left_out

log = logging.getLogger(__name__)

Layout = Literal["auto", "classes", "splits"]
Classes = list[tuple[str, Tree]]
"""Names of classes, each with a folder of its items."""
BySplit = dict[str, dict[str, list[Path]]]
"""The items of each class in each split; without splits those of the split ""."""

_WORDS = {
    "train": "train training trn 训练",
    "validation": "val valid validation validate dev development eval evaluation 验证 校验",
    "test": "test testing tst holdout 测试",
}
_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words.split()}
_NAME = re.compile(
    rf"(?:.*[ _.-])?({'|'.join(sorted(_SPLIT_OF, key=len, reverse=True))})"
    r"(?:[ _.-]?(?:set|data|dataset|images?|imgs?|split|part|folder|samples?|集|数据|图片))?[ _.-]?\d*"
)
_CLASSES = "if they are classes nevertheless, set data.dataset.layout: classes"


@dataclass(frozen=True)
class Reading:
    """How the folder of a data set is read."""

    files: ItemFiles
    layout: Layout = "auto"
    lenient: bool = False
    """Whether folders that do not fit are left out, and doubtful ones taken as classes, with a warning each; else
    they are mistakes."""


def read_classes(path: str, option: str, reading: Reading) -> tuple[Top, BySplit]:
    """Return the folder that `option` names, and the items of its classes, each sorted.

    What is left out is logged. Raises DataError for a folder that is missing or holds results of this program, and
    for one whose subfolders are neither all classes nor all splits, or could be both.
    """
    root = located(path)
    if not os.path.isdir(root):
        state = "is a file, not a folder" if os.path.isfile(root) else "does not exist"
        raise DataError(f"data.dataset.{option}: the folder '{readable(root)}' {state}")
    if (mark := mark_of_result(root)) is not None:
        raise DataError(
            f"data.dataset.{option}: '{readable(root)}' itself holds results of this program among the data "
            f"('{mark}'); set output to another folder, and move the old results there"
        )
    top = _descended(root, option, reading)
    splits = _class_trees(top, reading)
    by_split = {split: _by_class(top, folders, reading) for split, folders in splits.items()}
    _say_left_out(top)
    return top, by_split


def split_of(name: str) -> str | None:
    """Return the split that a folder's name means (train, validation, test), or None."""
    found = _NAME.fullmatch(unicodedata.normalize("NFKC", name).lower())
    return _SPLIT_OF[found.group(1)] if found else None


def _descended(folder: Path, option: str, reading: Reading) -> Top:
    """Return `folder`, which `option` names, or its only subfolder if that contains the class folders."""
    top = Top.of(folder, reading.files, option)
    while len(top.children) == 1 and len(top.children[0].inner_names()) > 1 and (reading.lenient or not top.loose):
        if reading.layout == "splits" and split_of(top.children[0].name):
            break
        inner = top.children[0].unwrapped.folder
        log.warning("%s holds one folder; the folders in '%s' are taken as the classes", top.where, readable(inner))
        _say_loose(top)
        below = Top.of(inner, reading.files, option)
        top = replace(below, results=(*top.results, *below.results))
    return top


def _class_trees(top: Top, reading: Reading) -> dict[str, Classes]:
    """Return the classes of each split, in the order of the splits; without splits those of the split ""."""
    word, layout, children = top.files.word, reading.layout, top.children
    if not children:
        found = f"{top.loose} {word} but no folders" if top.loose else f"no folders with {word}"
        raise DataError(f"{top.where} holds {found}; make one folder of {word} per class in it")
    classes = {"": [(tree.name, tree) for tree in children]}
    if layout == "classes":
        return classes
    certain = reading.lenient and _are_all_splits(children)
    if layout == "splits" or certain or any(split_of(tree.name) and tree.holds_folders for tree in children):
        return _of_splits(top, reading)
    alike = _alike(children)
    if not alike:
        return classes
    try:
        return _splits_inside(top, alike)
    except DataError as error:
        if not reading.lenient:
            raise
        log.warning("%s; here they are taken as classes", error)
        return classes


def _are_all_splits(children: Sequence[Tree]) -> bool:
    """Return whether the names of all folders are those of different splits, and the training split has folders."""
    by_split = {split_of(tree.name): tree for tree in children}
    return (
        None not in by_split
        and len(by_split) == len(children)
        and bool("train" in by_split and by_split["train"].inner)
    )


def _of_splits(top: Top, reading: Reading) -> dict[str, Classes]:
    """Return the classes inside split folders, all of which have names of splits."""
    splits: dict[str, Tree] = {}
    strangers = []
    for tree in top.children:
        split = split_of(tree.name)
        if split is None and not tree.items:
            log.warning("%s: '%s' is left out: it holds no %s", top.where, tree.name, top.files.word)
        elif split is None or not (tree.holds_folders or reading.lenient):
            strangers.append(tree)
        elif split in splits:
            raise DataError(
                f"{top.where} holds both '{splits[split].name}' and '{tree.name}'; "
                f"keep one folder for the {split} split"
            )
        else:
            splits[split] = tree
    known = f"{_listed(list(splits.values()))} look{'s' if len(splits) == 1 else ''} like a split of a data set"
    if strangers:
        raise DataError(
            f"{top.where}: {known if splits else 'no folder looks like a split'}, but not "
            f"{'; '.join(_strange(tree, top.files) for tree in strangers)}; move that out of the folder, or name "
            f"it train, val or test and give it a folder per class; {_CLASSES}"
        )
    if "train" not in splits:
        raise DataError(
            f"{top.where}: {known}, but there is no folder 'train' for training; name one so, or set root to one "
            f"of them; {_CLASSES}"
        )
    return {split: _classes_of(splits[split], top.files) for split in SPLITS if split in splits}


def _classes_of(split: Tree, files: ItemFiles) -> Classes:
    """Return the class folders of a split, including those without items."""
    if not split.inner:
        log.warning("'%s': holds no folders of classes", readable(split.folder))
    if split.direct:
        where = readable(split.folder)
        log.warning("'%s': %d %s that are in no class folder are left out", where, split.direct, files.word)
    filled = {tree.folder: tree for tree in split.unwrapped.inner}
    folders, _ = subfolders(split.unwrapped.folder, files)
    trees = [filled.get(folder) or Tree.of(folder, files) for folder in folders]
    return [(tree.name, tree) for tree in trees if not tree.may_be_output]


def _splits_inside(top: Top, alike: Sequence[Tree]) -> dict[str, Classes]:
    """Return the classes for splits that are folders inside each class folder, of which some are `alike`."""
    inside_of = {split_of(name) for tree in alike for name in tree.inner_names()}
    if None in inside_of or "train" not in inside_of:
        common = sorted(alike[0].inner_names() & alike[1].inner_names())
        listing = ", ".join(common[:5]) + (", ..." if len(common) > 5 else "")
        raise DataError(
            f"{top.where}: the folders {_listed(alike)} look like splits of a data set, not like classes: they "
            f"hold the same folders ({listing}); name them train, val and test, or set root to one of them; "
            f"{_CLASSES}"
        )
    splits: dict[str, Classes] = {}
    for tree in top.children:
        inside: dict[str, Tree] = {}
        for inner in tree.unwrapped.inner if tree.holds_folders else ():
            split = split_of(inner.name)
            if split is None or split in inside:
                break
            inside[split] = inner
        else:
            if inside:
                for split, inner in inside.items():
                    splits.setdefault(split, []).append((tree.name, inner))
                continue
        raise DataError(
            f"{top.where}: other class folders hold a folder per split (train, val, test), but '{tree.name}' does "
            f"not; give it the same folders; {_CLASSES}"
        )
    return {split: splits[split] for split in SPLITS if split in splits}


def _alike(children: Sequence[Tree]) -> list[Tree]:
    """Return the folders that have mostly the same subfolders as another one, at least two of them."""
    names: Mapping[Path, set[str]] = {tree.folder: tree.inner_names() for tree in children}

    def same(one: set[str], other: set[str]) -> bool:
        common = len(one & other)
        return common >= 2 and 2 * common >= max(len(one), len(other))

    return [
        tree
        for tree in children
        if any(same(names[tree.folder], names[other.folder]) for other in children if other is not tree)
    ]


def _strange(tree: Tree, files: ItemFiles) -> str:
    if split_of(tree.name) is None:
        return f"'{tree.name}'"
    if not tree.items:
        return f"'{tree.name}', which holds no {files.word}"
    return f"'{tree.name}', which holds {tree.direct} {files.word} in no class folder"


def _listed(trees: Sequence[Tree]) -> str:
    names = [f"'{tree.name}'" for tree in trees]
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1] if names else ""


def _by_class(top: Top, folders: Classes, reading: Reading) -> dict[str, list[Path]]:
    """Return the items of each class from folders that have the names of their classes."""
    by_name: dict[str, list[Path]] = {}
    for name, tree in folders:
        if tree.items:
            by_name.setdefault(name, []).extend(tree.items)
            continue
        others = f", but other files ({counted(tree.others)})" if tree.others else ""
        suffixes = f" ({top.files.suffixes})" if top.files.suffixes else ""
        empty = f"{top.key}: the class folder '{readable(tree.folder)}' holds no {top.files.word}{suffixes}{others}"
        if not reading.lenient:
            raise DataError(f"{empty}; put {top.files.word} into it or remove it")
        log.warning("%s; it is left out", empty)
    check_distinct(by_name, top.where)
    return {composed(name): items for name, items in by_name.items()}


def _say_left_out(top: Top) -> None:
    word = top.files.word
    for result in top.results:
        log.warning("%s: '%s' is left out: %s", top.key, readable(result), why_left_out(result))
    _say_loose(top)
    others: Counter[str] = sum((tree.others for tree in top.children), Counter())
    if others:
        log.warning("%s: files whose names are not those of %s are left out: %s", top.where, word, counted(others))


def _say_loose(top: Top) -> None:
    if top.loose:
        log.warning("%s: %d %s that are in no class folder are left out", top.where, top.loose, top.files.word)
