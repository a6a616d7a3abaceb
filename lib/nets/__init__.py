"""Networks, in Flax Linen, each in the file of the paper or data set that it is for."""
