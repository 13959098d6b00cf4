"""Deploys a stack, after checks that say what is missing: `python -m tools.deploy`."""
