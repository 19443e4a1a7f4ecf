"""The faulty cell of a battery pack, in infrared video from a moving camera."""
