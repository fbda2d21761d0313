"""The pretended device: it must refuse what a GPU refuses, and nothing else."""

import copy

import pytest
import torch
from pretend import moved, pretended


@pytest.fixture(params=["cuda", "mps"])
def device(request):
    with pretended(request.param):
        yield request.param


MIXED = {
    "a sum": lambda there, here: there + here,
    "a product of matrices": lambda there, here: there @ here,
    "torch.cat": lambda there, here: torch.cat([there, here]),
    "index_select": lambda there, here: there.index_select(0, torch.tensor([1, 0])),
    "an embedding": lambda there, here: torch.nn.functional.embedding(torch.tensor([0]), there),
    "indices there into a tensor here": lambda there, here: here[torch.tensor([0]).to(there.device)],
    "lerp into a tensor here": lambda there, here: torch.lerp(there, there, 0.5, out=here),
    "a backward pass": lambda there, here: torch.nn.functional.mse_loss(there, here.requires_grad_()).backward(),
    "a generator of the CPU": lambda there, here: torch.multinomial(there, 1, generator=torch.Generator()),
    "numpy": lambda there, here: there.numpy(),
}


@pytest.mark.parametrize("what", MIXED)
def test_what_a_gpu_refuses(device, what):
    here = torch.ones(2, 2)
    with pytest.raises((RuntimeError, TypeError)):
        MIXED[what](here.to(device), here)


def test_what_a_gpu_allows(device):
    here = torch.rand(2, 2)
    there = here.to(device)
    for sound in (
        there * torch.tensor(2.0),
        there[torch.tensor([1, 0])],
        there.masked_fill(there > 0, torch.tensor(0.0)),
    ):
        assert sound.device == torch.device(device, 0)
    there[torch.tensor([True, False])] = 3.0
    assert here.copy_(there).device.type == "cpu" and there.cpu()[0, 0] == 3 and there.tolist()[0] == [3, 3]
    assert torch.multinomial(there, 1, generator=torch.Generator(device)).device.type == device


def test_what_is_made_of_a_tensor_is_where_the_tensor_is(device):
    layer = torch.nn.Linear(2, 2)
    there = copy.deepcopy(layer).to(device)
    assert moved(there.weight) and not moved(layer.weight) and moved(copy.deepcopy(there).bias)
    made = [
        there.weight.T,
        there.weight.data[0],
        torch.zeros_like(there.weight),
        there.weight.new_ones(3),
        there.bias + 1,
    ]
    assert all(
        each.device.type == device for each in [*made, torch.zeros(2, device=device), *there.state_dict().values()]
    )
    assert torch.zeros_like(there.weight, device="cpu").device.type == torch.zeros(2).device.type == "cpu"
    there(torch.ones(1, 2, device=device)).sum().backward()
    assert there.weight.grad.device.type == device
    assert there.to("cpu").weight.device.type == "cpu"


def test_a_number_on_the_cpu_gets_its_slope_on_the_cpu(device):
    factor, there = torch.tensor([0.5, 0.5], requires_grad=True), torch.ones(3).to(device)
    (factor[0] * there + factor[1] * there).sum().backward()
    assert factor.grad.device.type == "cpu" and factor.grad.tolist() == [3, 3]


def test_the_device_has_random_numbers_of_its_own(device):
    draw = lambda where: torch.rand(3, device=where).tolist()
    torch.manual_seed(0)
    first = draw(device)
    torch.manual_seed(0)
    here = draw("cpu")
    assert draw(device) == first == here != draw(device)


def test_apples_gpu_has_no_float64_and_no_least_squares():
    with pretended("mps"):
        there = torch.ones(2, 2).to("mps")
        with pytest.raises(TypeError, match="float64"):
            there.double()
        with pytest.raises(NotImplementedError, match="lstsq"):
            torch.linalg.lstsq(there, there)
        assert there.cpu().double().dtype == torch.float64


def test_it_counts_where_the_code_waits():
    with pretended("cuda") as words:
        there = torch.ones(3, device="cuda")
        there.sum().item()
        there.cpu()
        torch.ones(3).sum().item()
        assert words.waits == 2
        before = words.kernels.launches
        there.view(3, 1).T.add(1)
        assert words.kernels.launches == before + 1


def test_afterwards_there_is_no_device():
    with pretended("cuda"):
        assert torch.cuda.is_available()
    assert not torch.cuda.is_available() and torch.ones(2).add(1).device.type == "cpu"
