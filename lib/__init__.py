"""The reusable library: games, optimisers, data and the runtime. It knows no experiment."""
