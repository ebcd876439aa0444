"""The HTTP server of a bundle and its page."""
