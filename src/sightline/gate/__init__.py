"""The gate before training: what is asked of the data, and the verdict."""
