"""Finished results trained or measured again: verified, quantised, by quartile, against full stopped early."""
