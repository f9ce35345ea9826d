"""Images to features to metrics, and other ways to look at what a network has learnt."""
