"""One thread for each test process: tests run side by side, and the commands they start have one thread as well."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
