"""``python -m keras_affect``: the command line where its script is not on the path."""

from keras_affect.cli import main

if __name__ == "__main__":
    main()
