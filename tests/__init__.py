"""Two workers, and the processes they start, share two cores: with a thread each they do not wait for one another."""
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
