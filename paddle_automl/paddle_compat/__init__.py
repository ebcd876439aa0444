"""Every private name of Paddle and PaddleSlim that the package touches, each with a test."""
