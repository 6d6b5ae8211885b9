"""Data frames to Vega-Lite: one module for each page, and what they share in theme.py."""
