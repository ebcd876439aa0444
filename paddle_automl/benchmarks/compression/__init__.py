"""The effect of compression on named networks."""
