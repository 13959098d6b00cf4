"""What all functions of the image processing pipeline share."""
