"""What is computed and drawn of finished runs and of theory: one file per picture."""
