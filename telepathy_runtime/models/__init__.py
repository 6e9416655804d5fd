"""What models are made of: the registry, readers of `config.json`, and where to look them up."""
