"""Character cards, the format in which players trade characters: V1 to V3, in JSON, PNG and CHARX."""
