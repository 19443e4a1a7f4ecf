"""What is done with a task, step by step: prepare, fit, evaluate, register, promote, watch. No orchestrator in it."""
