"""Steps of compression, one per file."""
