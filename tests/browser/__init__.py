"""Tests of the gallery and of the reference of the API."""
