"""Programs for users of the API. They know nothing of it but its URL."""
