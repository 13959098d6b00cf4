"""The small model of the repository: its drawings, its training and its files."""
