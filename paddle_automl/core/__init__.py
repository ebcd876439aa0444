"""Errors, registry, typed configuration, files, seeds: what every other package builds on."""
