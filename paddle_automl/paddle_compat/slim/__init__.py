"""What PaddleSlim 2.6 and old-graph export need on Paddle 3: every private name and every mend, in one place."""
