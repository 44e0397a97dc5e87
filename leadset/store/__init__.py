"""Prepared recordings packed on disk, their beats, and banks of simulated ones: what training reads from."""
