"""The speed of training on this machine, beside Paddle's tutorials and PyTorch."""
