"""Runs the deployed system as a discrete-event simulation, from measured times and the limits of AWS."""
