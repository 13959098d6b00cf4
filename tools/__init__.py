"""Development tools: the local API, the demo model's scenes and its training."""
