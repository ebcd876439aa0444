"""Folders of runs: their files and records, and how trials become configurations."""
