"""The taximeter command."""
