"""Sweeps: one config, many runs that differ in some fields, and what came out of them."""
