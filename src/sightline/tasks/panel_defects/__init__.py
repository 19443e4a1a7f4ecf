"""Solar panels and their defects: photographs (`panel_defects`), and farms from space (`solar_farms`)."""
