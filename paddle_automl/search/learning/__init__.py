"""Numerics that controllers share: rows of numbers for choices, rewards, moves, surrogate models."""
