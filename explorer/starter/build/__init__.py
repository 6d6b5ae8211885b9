"""Makes the starter's models from text: `python -m explorer.starter.build`."""
