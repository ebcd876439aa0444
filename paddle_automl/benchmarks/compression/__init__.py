"""What compression gains on named networks."""
