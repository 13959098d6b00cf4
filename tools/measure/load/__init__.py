"""Load on this machine, with Locust."""
