"""Programs for users of the API. They know only its URL."""
