"""Controllers, schedulers, executors, and the study that records trials; independent of Paddle and training."""
