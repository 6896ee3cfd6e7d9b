"""Languages, what does not parse in them, and where their definitions stand.

Knows text only: no tokens, models or files. Import its modules: `from diffucli.syntax import check, languages`.
"""
