"""`make bench` prints one table of figures. Machines are shared and noisy: read them beside each other, from one run."""
