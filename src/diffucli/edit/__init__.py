"""Read source files, find the regions to rewrite, write files back safely, and undo writes.

Knows nothing of models, grammars or terminals: callables that are passed in find symbols and syntax errors.
"""
