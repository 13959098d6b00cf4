"""Conversion of colours to sRGB."""
