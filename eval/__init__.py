"""The evaluator: scores checkpoints of any experiment. Write `from eval import ...`."""
