"""Compare captions and uploads with the usual way, and with the limits of the machine: `make bench`."""
