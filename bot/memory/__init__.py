"""What outlives the window: who knows what, recall, summaries, secrets."""
