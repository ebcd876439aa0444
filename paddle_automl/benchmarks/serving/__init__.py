"""How fast the server is beside the bare predictor, and what it withstands."""
