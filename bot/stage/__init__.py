"""How a turn appears in Discord: webhooks, streaming edits, splitting."""
