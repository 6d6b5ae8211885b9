"""python -m explorer: see cli.py."""
import sys

from explorer.cli import main

sys.exit(main())
