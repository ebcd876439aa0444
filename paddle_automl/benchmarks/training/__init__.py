"""Speed of training: this project, Paddle and PyTorch, and what each setting of the process is worth."""
