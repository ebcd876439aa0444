"""Searches that are killed; slow. `tools/benchmark.py kills` runs more of the same rounds."""
