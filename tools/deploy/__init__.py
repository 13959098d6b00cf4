"""Deploys a stack and says what stands in the way: `python -m tools.deploy`."""
