"""The tasks: one package a vision problem."""
