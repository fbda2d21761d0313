import torch

torch.set_num_threads(1)  # the models of the tests are so small that threads only get in each other's way
