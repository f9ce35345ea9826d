"""What is done with a trained run from the command line."""
