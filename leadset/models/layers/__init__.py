"""Layers and blocks that more than one architecture uses, or that deserve a file of their own."""
