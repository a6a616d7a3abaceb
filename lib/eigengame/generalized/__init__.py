"""Generalised eigenvalue problems A v = lambda B v as a game: gamma-EigenGame.

Gemp, Chen, McWilliams, 'The Symmetric Generalized Eigenvalue Problem as a Nash Equilibrium', ICLR 2023.
A is symmetric, B is symmetric and positive definite, both are means over rows and never formed.
"""
