"""A trial of the profile for Slurm, on a Slurm of one node that is set up for it."""
