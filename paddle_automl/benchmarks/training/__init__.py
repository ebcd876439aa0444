"""Speed of training: this project, Paddle and PyTorch, and the gain of each process setting."""
