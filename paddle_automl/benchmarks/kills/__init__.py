"""Whole searches that are killed at random moments: whether the same command always recovers."""
