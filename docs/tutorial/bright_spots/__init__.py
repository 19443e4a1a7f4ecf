"""Does a small picture hold a bright spot? The smallest task there is: copy it to begin your own."""
