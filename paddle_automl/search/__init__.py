"""Who chooses, who stops early, what happened and who runs it; knows neither Paddle nor training."""
