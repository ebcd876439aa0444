"""Draw training images as the network sees them: several augmented versions of each, with their labels."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddle_automl.cli.common import OK, add_config_arguments, main_of, overrides_of
from paddle_automl.core.display_text import plot_text, shown
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import replacing

if TYPE_CHECKING:
    from paddle_automl.pipeline.augmented import AugmentedItem, Picture

SUMMARY = "Draw training images as the network sees them: augmented versions of each, with their labels."
MOST = 40
"""Most items and most versions of one picture."""
LONGEST = 24
"""Most characters of a label."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config_arguments(parser)
    parser.add_argument("--to", metavar="FILE", help="the picture, a PNG file")
    parser.add_argument(
        "--visualdl", metavar="FOLDER", help="a folder of logs for VisualDL, where each image has a row"
    )
    parser.add_argument("--items", type=int, default=8, metavar="N", help="images, a row for each (default: 8)")
    parser.add_argument("--versions", type=int, default=6, metavar="N", help="versions of each (default: 6)")


def run(args: argparse.Namespace) -> int:
    """Read the data and draw; nothing is trained."""
    if args.to is None and args.visualdl is None:
        raise ConfigError("--to: name a .png file, or a folder for VisualDL with --visualdl")
    if args.to is not None and (Path(args.to).suffix.lower() != ".png" or Path(args.to).is_dir()):
        raise ConfigError(f"--to {args.to}: must name a .png file")
    if args.visualdl is not None and Path(args.visualdl).is_file():
        raise ConfigError(f"--visualdl {args.visualdl}: is a file; name a folder")
    for option, count in (("--items", args.items), ("--versions", args.versions)):
        if not 1 <= count <= MOST:
            raise ConfigError(f"{option}: must be from 1 to {MOST}, got {count}")
    from paddle_automl.core.loading import load_config
    from paddle_automl.core.paths import located
    from paddle_automl.pipeline.augmented import augmentation_told, augmented_items
    from paddle_automl.pipeline.config import RunConfig

    config = load_config(RunConfig, located(args.config), overrides_of(args))
    found = augmented_items(config, items=args.items, versions=args.versions)
    if args.to is not None:
        draw(found, Path(args.to))
    if args.visualdl is not None:
        log_pictures(found, Path(args.visualdl))
    told = augmentation_told(config)
    for place in (args.to, args.visualdl):
        if place is not None:
            print(shown(f"{place}: {len(found)} images, {args.versions} versions of each; {told}"))
    return OK


def draw(items: Sequence[AugmentedItem], file: Path) -> None:
    """Write a PNG with a row for each item: as it was read, then its versions."""
    # It builds its font cache on first use; users need no message about that.
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    # The object interface draws without a window system and without pyplot's global state.
    from matplotlib.figure import Figure

    columns = 1 + len(items[0].versions)
    height, width = items[0].original.pixels.shape[:2]
    figure = Figure(figsize=(1.5 * columns, (1.5 * height / width + 0.3) * len(items)), layout="constrained")
    grid = figure.subplots(len(items), columns, squeeze=False)
    for item, row in zip(items, grid, strict=True):
        for picture, axes in zip((item.original, *item.versions), row, strict=True):
            _draw(picture, axes)
    grid[0][0].set_title(f"original\n{_label(items[0].original)}", fontsize=7)
    with replacing(file) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def log_pictures(items: Sequence[AugmentedItem], folder: Path) -> None:
    """Write a log of VisualDL with a row for each item: step 0 as it was read, then its versions."""
    from visualdl import LogWriter

    with LogWriter(logdir=str(folder)) as writer:
        for number, item in enumerate(items, start=1):
            tag = f"augmented/{number} {_label(item.original)}"
            for step, picture in enumerate((item.original, *item.versions)):
                writer.add_image(tag=tag, img=picture.pixels, step=step)


def _draw(picture: Picture, axes: Any) -> None:
    axes.imshow(picture.pixels, interpolation="nearest")
    axes.set_title(_label(picture), fontsize=7)
    axes.axis("off")


def _label(picture: Picture) -> str:
    text = picture.label
    return plot_text(text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}...")


main = main_of(add_arguments, run)
