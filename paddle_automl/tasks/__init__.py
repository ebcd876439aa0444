"""What a network answers: kinds of task, and the metrics that score them; NumPy only."""
