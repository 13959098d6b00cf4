"""The API on this machine, and what replaces AWS there."""
