"""The report of a search: its sections, drawn as one page without scripts and kept as JSON for programs."""
