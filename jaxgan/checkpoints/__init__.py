"""Checkpoints that are checked when they are read."""
