"""Sweeps: many runs of one config, here or on a cluster, and what came out of them."""
