"""Whether searches keep their time budget, and which bundle they leave."""
