"""Commands that write pages, pictures and documents of the project."""
