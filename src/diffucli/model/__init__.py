"""The model room: checkpoint folders, networks, vocabularies, names."""
