"""Training: splits, the loop, decision thresholds, time planning. Knows no particular model."""
