"""What the tasks' models are made of and read with: images, networks and their training, masks, tiles, saved graphs."""
