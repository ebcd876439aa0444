"""Smaller and faster networks: a chain of steps, each measured in the runtime that will serve the result."""
