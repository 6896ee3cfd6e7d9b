"""How fast and how well a model writes, measured."""
