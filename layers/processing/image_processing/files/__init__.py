"""Reads the structure of JPEG and PNG files without decoding pixels."""
