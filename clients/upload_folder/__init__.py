"""Uploads all pictures of a folder to the API.

Files of up to 4.5 MB go to POST /api/images, larger ones and those that it refuses as too large to POST /api/uploads.
A journal next to the CSV file remembers each step. So after Ctrl-C, a crash or a lost connection, the same command goes
on where it stopped, and uploads nothing twice.
"""
