"""What the browser shows: the sidebar, the jobs at work, and one module for each page."""
from pathlib import Path

STYLE = Path(__file__).resolve().parent  # of live.html and page.css
