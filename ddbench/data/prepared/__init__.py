"""The decoded copy of a data set: how it is made, found again, split and viewed."""
