"""What owns devices, files, time and randomness: it runs experiments and knows none."""
