"""``python -m infra`` is ``infra``."""

from infra.cli.main import main

main()
