"""What may vary in a search: domains, conditions, and a trial's choices as configuration overrides."""
