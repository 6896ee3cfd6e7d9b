"""`python -m diffucli` is `diffu`."""

from diffucli.cli import main

if __name__ == "__main__":
    main()
