"""All uses of private names of Paddle and PaddleSlim, each with a test."""
