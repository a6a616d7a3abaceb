"""What a config would do before anything trains, and what is in a work directory: `./run.sh inspect`."""
