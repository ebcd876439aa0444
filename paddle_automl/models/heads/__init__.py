"""One file per kind of head."""
