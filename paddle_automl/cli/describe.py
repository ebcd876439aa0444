"""Print the options of a plugin or of a section, from its class."""

from __future__ import annotations

import argparse
import json
from typing import Any

from paddle_automl.cli.common import OK, add_plugin_argument, main_of, option_lines, print_json
from paddle_automl.cli.kinds import registries, sections
from paddle_automl.core.describe import options
from paddle_automl.core.errors import ConfigError, unknown_name
from paddle_automl.core.plugins import load_plugins
from paddle_automl.core.registry import Registry

SUMMARY = "List plugins and print the options of a plugin or a configuration section."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("kind", nargs="?", help="kind of plugin (controller, backbone, ...) or 'section'")
    parser.add_argument("name", nargs="?", help="name of the plugin or section; left out: list all of the kind")
    add_plugin_argument(parser)
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema instead of text")


def run(args: argparse.Namespace) -> int:
    """Print the list or the options that were asked for."""
    load_plugins(args.plugin)
    kinds = registries()
    if args.kind is None and args.schema:
        _print_json(sections()["config"].model_json_schema())
        return OK
    if args.kind is None:
        print("\n".join(_kinds()))
        return OK
    if args.kind == "section":
        return _describe_section(args)
    if args.kind not in kinds:
        raise ConfigError(unknown_name("kind", args.kind, [*kinds, "section"]))
    registry = kinds[args.kind]
    if args.name is None:
        _list(registry, args.schema)
        return OK
    cls = registry[args.name]
    config = getattr(cls, "Config", None)
    if args.schema and config is not None:
        _print_json(config.model_json_schema())
        return OK
    print(f"{registry.section}: {{name: {args.name}}}\n")
    print((cls.__doc__ or "").strip() + "\n")
    lines = option_lines(options(config)) if config is not None else []
    print("\n".join(["Options:", *lines] if lines else ["No options."]))
    return OK


def _list(registry: Registry[Any], schema: bool) -> None:
    if schema:
        configs = {name: getattr(registry[name], "Config", None) for name in registry.names()}
        _print_json({name: config.model_json_schema() for name, config in configs.items() if config is not None})
        return
    for name in registry.names():
        print(f"{name:<18} {registry.summary(name)}")


def _print_json(value: object) -> None:
    print_json(json.dumps(value, indent=2, ensure_ascii=False))


def _describe_section(args: argparse.Namespace) -> int:
    known = sections()
    if args.name is None:
        if args.schema:
            _print_json({name: section.model_json_schema() for name, section in known.items()})
        else:
            print("\n".join(known))
        return OK
    if args.name not in known:
        raise ConfigError(unknown_name("section", args.name, known))
    if args.schema:
        _print_json(known[args.name].model_json_schema())
        return OK
    print((known[args.name].__doc__ or "").strip() + "\n")
    print("\n".join(option_lines(options(known[args.name]))))
    return OK


def _kinds() -> list[str]:
    lines = ["Kinds of plugins (describe KIND lists them, describe KIND NAME prints the options):"]
    for kind, registry in registries().items():
        lines.append(f"  {kind:<14} {registry.section:<24} {', '.join(registry.names())}")
    return [*lines, "", f"Sections (describe section NAME): {', '.join(sections())}"]


main = main_of(add_arguments, run)
