"""What things cost on this machine: one file per benchmark, ratios measured side by side."""
