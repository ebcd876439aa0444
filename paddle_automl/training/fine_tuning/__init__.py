"""Recipes by which a network with pretrained weights is trained further as a whole."""
