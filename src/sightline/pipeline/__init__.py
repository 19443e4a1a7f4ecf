"""What is done with a task, step by step: prepare, fit, judge, register, promote, watch. No orchestrator in it."""
