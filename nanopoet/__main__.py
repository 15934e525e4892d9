"""`python -m nanopoet`: the same as `nanopoet`."""

from nanopoet.cli import main

if __name__ == "__main__":
    main()
