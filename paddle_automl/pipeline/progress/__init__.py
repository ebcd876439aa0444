"""What a person is shown while a command runs, and what is written about it."""
