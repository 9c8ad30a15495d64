"""File formats that data sets come in, and where they are downloaded from; each reader gives a RawDataset."""
