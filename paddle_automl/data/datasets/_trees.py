"""Folders of a data set with the items below them."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from paddle_automl.core.paths import readable
from paddle_automl.inputs.folders import ItemFiles, look_into, subfolders


@dataclass(frozen=True)
class Tree:
    """A folder with all items below it, sorted; `others` counts other files by suffix, `results` are left out."""

    folder: Path
    items: tuple[Path, ...]
    others: Counter[str] = field(default_factory=Counter)
    results: tuple[Path, ...] = ()

    @classmethod
    def of(cls, folder: Path, files: ItemFiles) -> Tree:
        """Read a folder from the disk."""
        found = look_into(folder, files)
        return cls(folder, tuple(found.items), found.others, tuple(found.results))

    @property
    def name(self) -> str:
        """Return the folder's name as text."""
        return readable(self.folder.name)

    @cached_property
    def inner(self) -> tuple[Tree, ...]:
        """Return the folders directly below that contain items, in the order of their names."""
        by_name: dict[str, list[Path]] = {}
        depth = len(self.folder.parts)
        for item in self.items:
            if len(item.parts) > depth + 1:
                by_name.setdefault(item.parts[depth], []).append(item)
        return tuple(Tree(self.folder / name, tuple(items)) for name, items in by_name.items())

    @cached_property
    def direct(self) -> int:
        """Return how many items are in the folder itself."""
        return len(self.items) - sum(len(tree.items) for tree in self.inner)

    @cached_property
    def unwrapped(self) -> Tree:
        """Skip folders that contain only one folder of folders; return the first other one below, or this one."""
        if self.direct == 0 and len(self.inner) == 1 and self.inner[0].direct == 0:
            return self.inner[0].unwrapped
        return self

    @property
    def holds_folders(self) -> bool:
        """Return whether nearly all items are in folders inside, as in a split with class folders."""
        return 4 * self.direct < len(self.items)

    @property
    def may_be_output(self) -> bool:
        """Return whether there are no items but results, or only empty folders as in a new output."""
        if self.items:
            return False
        return bool(self.results) or (not self.others and any(entry.is_dir() for entry in self.folder.iterdir()))

    def inner_names(self) -> set[str]:
        """Return the names of the folders inside that contain items."""
        return {tree.name for tree in self.unwrapped.inner} if self.holds_folders else set()


@dataclass(frozen=True)
class Top:
    """The folder with the classes or splits as subfolders; `loose` items are in none of them."""

    folder: Path
    children: tuple[Tree, ...]
    results: tuple[Path, ...]
    loose: int
    files: ItemFiles
    option: str = "root"

    @classmethod
    def of(cls, folder: Path, files: ItemFiles, option: str = "root") -> Top:
        """Read a folder from the disk, which `option` names; subfolders of results become `results`."""
        found, left_out = subfolders(folder, files)
        trees = [Tree.of(child, files) for child in found]
        with os.scandir(folder) as entries:
            loose = sum(entry.is_file() and files.is_item(entry.name) for entry in entries)
        children = tuple(tree for tree in trees if not tree.may_be_output)
        bare = [tree.folder for tree in trees if tree.may_be_output and not tree.results]
        results = (*left_out, *bare, *(result for tree in trees for result in tree.results))
        return cls(folder, children, results, loose, files, option)

    @property
    def where(self) -> str:
        """Return the start of a message about the folder."""
        return f"{self.key}: '{readable(self.folder)}'"

    @property
    def key(self) -> str:
        """Return the key of the option that names the folder."""
        return f"data.dataset.{self.option}"
