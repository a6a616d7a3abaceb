"""The reusable library: games, optimisers, data and the runner. It knows no experiment."""
