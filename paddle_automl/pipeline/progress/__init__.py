"""Display while a command runs, and written results."""
