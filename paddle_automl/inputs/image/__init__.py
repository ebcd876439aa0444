"""Images: decoding, normalization, finding files."""
