"""Files as they are read, what in them is rewritten, and how they are written back safely.

Knows nothing of models, grammars or terminals: symbols are looked up by callables that are passed in.
"""
