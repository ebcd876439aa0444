"""Kinds of task (what a network predicts), and the metrics that score them; NumPy only."""
