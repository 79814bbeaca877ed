"""`make bench` prints one table of figures. Machines are noisy: read them beside each other, from one run."""
