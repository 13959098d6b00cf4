"""POST /api/images: the container function, with its caption engine and the exporter of its model."""
