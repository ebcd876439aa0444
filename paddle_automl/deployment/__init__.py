"""Bundles, exporters, prediction, parity checks and latency; independent of networks and training."""
