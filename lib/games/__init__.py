"""Differentiable games: players with parameters, and losses that depend on everybody's."""
