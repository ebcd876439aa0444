"""The command `benchmark`: every figure this project gives can be measured again with it."""
