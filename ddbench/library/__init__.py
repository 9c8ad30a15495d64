"""ddbench from Python: what the command line does, as functions; the commands themselves call it."""
