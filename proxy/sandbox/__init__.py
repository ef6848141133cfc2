"""The built-in provider that answers without a model, and says so."""
