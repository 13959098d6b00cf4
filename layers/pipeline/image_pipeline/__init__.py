"""Code that every function of the image processing pipeline shares."""
