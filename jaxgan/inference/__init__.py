"""A run as a function: images from latents, classes, captions or images."""
