"""Dimensions of models: the registry, readers of `config.json`, and the look-up of models."""
