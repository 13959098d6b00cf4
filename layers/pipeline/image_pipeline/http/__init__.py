"""From API Gateway events to checked requests, and from results to JSON responses."""
