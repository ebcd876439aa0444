"""The command `benchmark`, which measures every figure that this project claims."""
