"""``python -m permille``."""

from permille.cli import main

main()
