"""Decides whether the subfolders of a folder are classes, or splits with class folders inside."""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import readable
from paddle_automl.data.samples import SPLITS
from paddle_automl.inputs.image.files import is_image_name, look_into, subfolders

log = logging.getLogger(__name__)

Layout = Literal["auto", "classes", "splits"]
Classes = list[tuple[str, "Tree"]]
"""Names of classes, each with a folder of its images."""

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
class Tree:
    """A folder with all images below it, sorted; `others` counts other files by suffix, `results` are left out."""

    folder: Path
    images: tuple[Path, ...]
    others: Counter[str] = field(default_factory=Counter)
    results: tuple[Path, ...] = ()

    @classmethod
    def of(cls, folder: Path) -> Tree:
        """Read a folder from the disk."""
        found = look_into(folder)
        return cls(folder, tuple(found.images), found.others, tuple(found.results))

    @property
    def name(self) -> str:
        """Return the folder's name as text."""
        return readable(self.folder.name)

    @cached_property
    def inner(self) -> tuple[Tree, ...]:
        """Return the folders directly below that contain images, in the order of their names."""
        by_name: dict[str, list[Path]] = {}
        depth = len(self.folder.parts)
        for image in self.images:
            if len(image.parts) > depth + 1:
                by_name.setdefault(image.parts[depth], []).append(image)
        return tuple(Tree(self.folder / name, tuple(images)) for name, images in by_name.items())

    @cached_property
    def direct(self) -> int:
        """Return how many images are in the folder itself."""
        return len(self.images) - sum(len(tree.images) for tree in self.inner)

    @cached_property
    def unwrapped(self) -> Tree:
        """Skip folders that contain only one folder of folders; return the first other one below, or this one."""
        if self.direct == 0 and len(self.inner) == 1 and self.inner[0].direct == 0:
            return self.inner[0].unwrapped
        return self

    @property
    def holds_folders(self) -> bool:
        """Return whether nearly all images are in folders inside, as in a split with class folders."""
        return 4 * self.direct < len(self.images)

    @property
    def may_be_output(self) -> bool:
        """Return whether there are no images but results, or only empty folders as in a new output."""
        if self.images:
            return False
        return bool(self.results) or (not self.others and any(entry.is_dir() for entry in self.folder.iterdir()))

    def inner_names(self) -> set[str]:
        """Return the names of the folders inside that contain images."""
        return {tree.name for tree in self.unwrapped.inner} if self.holds_folders else set()


@dataclass(frozen=True)
class Top:
    """The folder with the classes or splits as subfolders; `loose` images are in none of them."""

    folder: Path
    children: tuple[Tree, ...]
    results: tuple[Path, ...]
    loose: int
    option: str = "root"

    @classmethod
    def of(cls, folder: Path, option: str = "root") -> Top:
        """Read a folder from the disk, which `option` names; subfolders with only results become `results`."""
        trees = [Tree.of(child) for child in subfolders(folder)]
        with os.scandir(folder) as entries:
            loose = sum(entry.is_file() and is_image_name(entry.name) for entry in entries)
        children = tuple(tree for tree in trees if not tree.may_be_output)
        bare = [tree.folder for tree in trees if tree.may_be_output and not tree.results]
        return cls(folder, children, (*bare, *(result for tree in trees for result in tree.results)), loose, option)

    @property
    def where(self) -> str:
        """Return the start of a message about the folder."""
        return f"{self.key}: '{readable(self.folder)}'"

    @property
    def key(self) -> str:
        """Return the key of the option that names the folder."""
        return f"data.dataset.{self.option}"


def split_of(name: str) -> str | None:
    """Return the split that a folder's name means (train, validation, test), or None."""
    found = _NAME.fullmatch(unicodedata.normalize("NFKC", name).lower())
    return _SPLIT_OF[found.group(1)] if found else None


def descended(folder: Path, layout: Layout, option: str = "root") -> Top:
    """Return `folder`, which `option` names, or its only subfolder if that contains the class folders."""
    top = Top.of(folder, option)
    while len(top.children) == 1 and len(top.children[0].inner_names()) > 1 and not top.loose:
        if layout == "splits" and split_of(top.children[0].name):
            break
        inner = top.children[0].unwrapped.folder
        log.warning("%s holds one folder; the folders in '%s' are taken as the classes", top.where, readable(inner))
        below = Top.of(inner, option)
        top = replace(below, results=(*top.results, *below.results))
    return top


def class_trees(top: Top, layout: Layout) -> dict[str, Classes]:
    """Return the classes of each split, in the order of the splits; without splits those of the split "".

    Raises DataError if the folders are neither all classes nor all splits, or could be both.
    """
    if not top.children:
        found = f"{top.loose} images but no folders" if top.loose else "no folders with images"
        raise DataError(f"{top.where} holds {found}; make one folder of images per class in it")
    if layout == "classes":
        return {"": [(tree.name, tree) for tree in top.children]}
    if layout == "splits" or any(split_of(tree.name) and tree.holds_folders for tree in top.children):
        return _of_splits(top)
    alike = _alike(top.children)
    if not alike:
        return {"": [(tree.name, tree) for tree in top.children]}
    inside = {split_of(name) for tree in alike for name in tree.inner_names()}
    if None not in inside and "train" in inside:
        return _splits_inside(top)
    common = sorted(alike[0].inner_names() & alike[1].inner_names())
    listing = ", ".join(common[:5]) + (", ..." if len(common) > 5 else "")
    raise DataError(
        f"{top.where}: the folders {_listed(alike)} look like splits of a data set, not like classes: they hold "
        f"the same folders ({listing}); name them train, val and test, or set root to one of them; {_CLASSES}"
    )


def _of_splits(top: Top) -> dict[str, Classes]:
    """Return the classes inside split folders, all of which have names of splits."""
    splits: dict[str, Tree] = {}
    strangers = []
    for tree in top.children:
        split = split_of(tree.name)
        if split is None and not tree.images:
            log.warning("%s: '%s' is left out: it holds no images", top.where, tree.name)
        elif split is None or not tree.holds_folders:
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
            f"{'; '.join(_strange(tree) for tree in strangers)}; move that out of the folder, or name it train, "
            f"val or test and give it a folder per class; {_CLASSES}"
        )
    if "train" not in splits:
        raise DataError(
            f"{top.where}: {known}, but there is no folder 'train' for training; name one so, or set root to one "
            f"of them; {_CLASSES}"
        )
    return {split: _classes_of(splits[split]) for split in SPLITS if split in splits}


def _classes_of(split: Tree) -> Classes:
    """Return the class folders of a split, including those without images, which lead to an error."""
    if split.direct:
        log.warning(
            "'%s': %d images that are in no class folder are left out", readable(split.folder), split.direct
        )
    filled = {tree.folder: tree for tree in split.unwrapped.inner}
    folders = subfolders(split.unwrapped.folder)
    trees = [filled.get(folder) or Tree.of(folder) for folder in folders]
    return [(tree.name, tree) for tree in trees if not tree.may_be_output]


def _splits_inside(top: Top) -> dict[str, Classes]:
    """Return the classes for splits that are folders inside each class folder."""
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


def _strange(tree: Tree) -> str:
    if split_of(tree.name) is None:
        return f"'{tree.name}'"
    if not tree.images:
        return f"'{tree.name}', which holds no images"
    return f"'{tree.name}', which holds {tree.direct} images in no class folder"


def _listed(trees: Sequence[Tree]) -> str:
    names = [f"'{tree.name}'" for tree in trees]
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1] if names else ""
