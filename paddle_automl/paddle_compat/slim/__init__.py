"""All private names and repairs that PaddleSlim 2.6 and the export of old graphs need on Paddle 3."""
