"""The table's rules, pure: no Discord, no model, no clock, and every chance from an Rng that is passed in."""
