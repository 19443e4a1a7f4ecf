"""Hot spots on photovoltaic modules, from infrared."""
