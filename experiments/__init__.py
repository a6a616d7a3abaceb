"""One package per experiment, and the programs that run them."""
