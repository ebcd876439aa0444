"""Whole searches that are killed at random times: whether the same command always recovers them."""
