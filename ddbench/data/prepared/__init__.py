"""The decoded copy of a data set: its splits and views."""
