"""Languages, syntax diagnostics, and the definitions in a text.

Knows text only: no tokens, models or files. Import its modules: `from diffucli.syntax import check, languages`.
"""
