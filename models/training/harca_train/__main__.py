"""`python -m harca_train`."""

from harca_train.cli import main

if __name__ == "__main__":
    main()
