"""Smaller and faster networks: a chain of steps, each measured on the runtime that will serve the result."""
