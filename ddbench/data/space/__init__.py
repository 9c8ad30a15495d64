"""The space of networks: preprocessing, whitening, and the way back to pixels."""
