"""Folders of runs: their files, what they hold, and how trials become configurations."""
