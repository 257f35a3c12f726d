"""The profile for Slurm, tried on a Slurm of one node that is set up for it."""
