"""Data sets, splits, decoding, augmentation and batches."""
