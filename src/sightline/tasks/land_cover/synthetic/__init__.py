"""The synthetic set: drawn from parameters and a seed alone, written in the layout of the published one."""
