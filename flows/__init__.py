"""Prefect flows, thin: when, and what next. What is built from what is DVC's business, what is done the pipeline's."""
