"""Models before they run: what a file is, what memory it takes, which to choose, where to get it."""
