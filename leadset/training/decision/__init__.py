"""What is fitted once the networks are trained, on validation recordings: calibration, ensemble weights, thresholds."""
