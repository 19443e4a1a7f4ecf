"""What has changed in inputs and answers, how far an input lies from what was seen, and whether one can tell."""
