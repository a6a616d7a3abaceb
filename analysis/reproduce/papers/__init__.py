"""The papers, one file each: figures, the runs that they need, and claims."""
