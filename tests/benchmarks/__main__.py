"""All of them, one after another."""
import os

from tests.benchmarks import extraction, gpu, neurons, page, probes, stats

if __name__ == "__main__":
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    for benchmark in (extraction, gpu, probes, neurons, stats, page):
        print(f"\n{benchmark.__doc__.partition('.')[0]}", flush=True)
        benchmark.main()
