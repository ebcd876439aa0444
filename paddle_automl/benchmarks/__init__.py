"""The referee: controllers replayed over tables and synthetic tasks, without any training."""
