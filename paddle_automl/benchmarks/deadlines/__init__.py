"""Whether searches keep the time that they promise, and what stands at its end."""
