"""Kinds of input, each a plugin; NumPy only, below models, data and search."""
