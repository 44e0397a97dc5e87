"""Protocols of evaluation, cross-validation of entries by them, and the published studies repeated."""
