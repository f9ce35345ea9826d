"""Runs that stop, resume and save: the loop, checkpoints, sharding, the folder."""
