"""Any TFDS set, through folders that TFDS's own writer makes here, and through real ones."""
