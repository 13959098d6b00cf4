"""Speed, load, cost and scale: commands that measure or calculate them."""
