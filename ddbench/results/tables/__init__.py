"""Records grouped into tables, cells and differences."""
