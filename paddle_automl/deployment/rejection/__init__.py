"""Rejection: scores by which an item that belongs to none of the classes is recognized."""
