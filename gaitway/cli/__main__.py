"""`python -m gaitway.cli`, for a process that has an interpreter, and maybe no command on its path."""

from gaitway.cli import main

if __name__ == "__main__":
    main()
