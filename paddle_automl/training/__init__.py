"""The recipe: optimizers, losses, learning-rate schedules, weight averaging, precision, loop."""
