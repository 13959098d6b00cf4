"""Programs for users of the API, and what the commands for a stack share with them."""
