"""Tools for developers: the local API, the exporter of models, the demo model, benchmarks."""
