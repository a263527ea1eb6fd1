"""What Discord's events and commands lead to: each parses, calls once, and renders. No logic lives here."""
