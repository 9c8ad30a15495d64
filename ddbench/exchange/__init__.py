"""Sets that come from elsewhere, and sets that leave: layouts of files, the imported method, exports and manifests."""
