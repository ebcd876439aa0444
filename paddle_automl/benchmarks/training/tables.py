"""The tables of the comparisons of training steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

COMPARISONS = (
    ("project", "paddle"),
    ("project-bf16", "paddle"),
    ("project", "torch"),
    ("project", "torch-malloc"),
    ("project-bf16", "torch-bf16"),
    ("project-bf16", "torch-bf16-malloc"),
)
"""Ratios of medians that are printed if both were measured."""


def print_speeds(console: Console, record: Mapping[str, Any]) -> None:
    """Print images per CPU-second and per second, fractions of the roofline, and the ratios."""
    networks = record["networks"]
    roof = ", ".join(f"{dtype} {value:.0f}" for dtype, value in record["roofline_gflops"].items())
    console.print(f"{record['processor']}; one thread; measured peak, GFLOP/s: {roof or 'not measured'}")
    console.print("\nimages per CPU-second (per second; fraction of the roofline of its type)")
    grid = _grid(networks)
    for name, about in record["variants"].items():
        cells = [_cell(network["variants"][name]) for network in networks.values()]
        grid.add_row(f"{name} ({about['version']})", *cells)
    console.print(grid)
    ratios = _grid(networks)
    for over, under in COMPARISONS:
        if over in record["variants"] and under in record["variants"]:
            speeds = [network["variants"] for network in networks.values()]
            ratios.add_row(f"{over} / {under}", *(f"{_ratio(s, over, under):.2f}" for s in speeds))
    if ratios.row_count:
        console.print("\nratios of medians of the images per CPU-second")
        console.print(ratios)


def _ratio(speeds: Mapping[str, Any], over: str, under: str) -> float:
    found: float = speeds[over]["images_per_cpu_second"] / speeds[under]["images_per_cpu_second"]
    return found


def _cell(speed: Mapping[str, Any]) -> str:
    share = f"; {speed['roofline_share']:.0%}" if "roofline_share" in speed else ""
    return f"{speed['images_per_cpu_second']:.4g} ({speed['images_per_second']:.4g}{share})"


def _grid(networks: Mapping[str, Mapping[str, Any]]) -> Table:
    grid = Table()
    grid.add_column("", no_wrap=True)
    for network in networks.values():
        grid.add_column(f"{network['title']}, batch {network['batch']}", justify="right")
    return grid
