"""What the backbones of texts share: tables of n-grams, embeddings, and parts that are summed."""
