"""How good the model is that a whole search leaves after some minutes."""
