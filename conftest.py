import os

if "PYTEST_XDIST_WORKER" in os.environ:  # two workers, two cores: notebooks and subprocesses get one each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)  # the models of the tests are so small that threads only get in each other's way
