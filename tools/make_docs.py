"""Write docs/options: a page for each section of the configuration and for each kind of plugin, from the classes.

The same source as `python tools/describe.py`. Run it after a change of an option:

    python tools/make_docs.py
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from paddle_automl.cli.kinds import registries
from paddle_automl.core.describe import Option, all_options, options
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import Section
from paddle_automl.pipeline.config import RunConfig

FOLDER = Path(__file__).parents[1] / "docs" / "options"
NOTE = "<!-- Written by tools/make_docs.py from the classes; do not edit. -->"
INDEX, ROOT = "README.md", "configuration.md"


def main() -> int:
    """Write the pages and delete those of sections and kinds that no longer exist."""
    parser = argparse.ArgumentParser(description="Write the pages of options from the classes.")
    parser.add_argument(
        "--to", type=Path, default=FOLDER, metavar="FOLDER", help="folder of the pages (default: docs/options)"
    )
    folder = parser.parse_args().to
    folder.mkdir(parents=True, exist_ok=True)
    written = pages()
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8")
    for file in folder.glob("*.md"):
        if file.name not in written and file.read_text(encoding="utf-8").startswith(NOTE):
            file.unlink()
    print(f"{len(written)} pages in {folder}")
    return 0


def pages() -> dict[str, str]:
    """Return the text of every page by its file name; raises ValueError where two would have one name."""
    found: dict[str, str] = {}
    for name, text in _pages():
        if name in found:
            raise ValueError(f"a section and a kind of plugin, or two kinds, would both be the page {name}")
        found[name] = text
    return found


def _pages() -> Iterator[tuple[str, str]]:
    root = list(options(RunConfig))
    sections = {item.key: item for item in root if item.section}
    kinds = registries()
    yield INDEX, _index(sections, kinds)
    yield ROOT, _page("Configuration", _text(RunConfig), _table(root, links=True))
    for key, item in sections.items():
        yield f"{key}.md", _page(f"`{key}`", item.doc, _table(all_options(item.section, f"{key}.")))
    for kind, registry in kinds.items():
        yield f"{kind}.md", _kind(registry)


def _index(sections: dict[str, Option], kinds: dict[str, Registry[Any]]) -> str:
    lines = [
        f"- [the root keys]({ROOT})",
        *(f"- [`{key}`]({key}.md): {_line(sections[key].doc)}" for key in sections),
    ]
    rows = [
        f"| [{registry.kind}]({kind}.md) | `{registry.section}` | {', '.join(_names(registry))} |"
        for kind, registry in kinds.items()
    ]
    plugins = ["## Plugins", "| kind | key | names |\n| --- | --- | --- |\n" + "\n".join(rows)]
    return _page("Options", "## Sections", "\n".join(lines), *plugins)


def _kind(registry: Registry[Any]) -> str:
    parts = [f"Key of the configuration: `{registry.section}`."]
    for name in _names(registry):
        cls = registry[name]
        config: type[Section] | None = getattr(cls, "Config", None)
        parts += [f"## `{name}`", _text(cls), _table(all_options(config) if config else ())]
    return _page(f"{registry.kind[:1].upper()}{registry.kind[1:]}", *parts)


def _names(registry: Registry[Any]) -> list[str]:
    """Return the names of the package's own plugins: pages do not depend on what else is installed."""
    return [name for name in registry.names() if registry[name].__module__.startswith("paddle_automl.")]


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([NOTE, f"# {title}", *(part for part in parts if part)]) + "\n"


def _table(items: Iterable[Option], links: bool = False) -> str:
    rows = []
    for item in items:
        if item.section and not links:
            # A heading for the keys below it, which follow in the table.
            rows.append(f"| **`{item.key}`** | | | {_line(item.doc)} |")
            continue
        key = f"[`{item.key}`]({item.key}.md)" if item.section else f"`{item.key}`"
        default = f"`{_cell(item.default)}`" if item.default else ""
        rows.append(f"| {key} | {_cell(item.type)} | {default} | {_line(item.doc)} |")
    if not rows:
        return "No options."
    return "\n".join(["| key | type | default | meaning |", "| --- | --- | --- | --- |", *rows])


def _text(cls: type) -> str:
    """Return a class's own docstring as Markdown."""
    doc = vars(cls).get("__doc__") or ""
    return re.sub(r"``(.+?)``", r"`\1`", inspect.cleandoc(doc))


def _line(text: str) -> str:
    return _cell(re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split())))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
