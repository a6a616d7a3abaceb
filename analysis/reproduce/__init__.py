"""Published results, each with the paper's claim beside ours: `./run.sh reproduce`."""
