"""Videos of a simulated pack: heat by finite volumes, a camera that goes round, and how cameras show it."""
