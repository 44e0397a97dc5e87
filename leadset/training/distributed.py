"""One training in several processes, on one machine or several: the steps of one process, computed together.

``torchrun --nproc-per-node N train_model.py DATA MODEL`` starts them. The first process is the leader: it does the
whole run, and whatever trains or measures a network is called in the others too (`training_pool`), which do nothing
else. There, each process computes its part of every batch (`shared`). All that a network or a loss takes from other
recordings of the batch (statistics of normalisation, numbers of known labels, draws of dropout) is that of the whole
batch, so that gradients and weights are those of one process but for rounding, and any number of processes goes on
with a training of any other.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from leadset.utils.whole_batch import summed_by
from leadset.utils.workers import Here, stopping_by_signal, worker_pool

# The leader prepares recordings and joins networks while the others wait; a process that ends is noticed at once.
_PATIENCE = timedelta(days=7)
_LEADER = 0


def is_shared() -> bool:
    """Whether several processes share the training."""
    return dist.is_available() and dist.is_initialized()


def is_leader() -> bool:
    """Whether this process leads: it alone writes files, validates and shows progress. One that is alone does."""
    return not is_shared() or dist.get_rank() == _LEADER


# --- who does what -------------------------------------------------------------------------------------------------


@contextmanager
def together() -> Iterator[bool]:
    """Joins the processes that ``torchrun`` started; yields whether this one is to do the work of the block.

    The others have then followed the leader through the block already. Without ``torchrun``, and inside another such
    block, there is nothing to join.

    Raises:
        ConnectionError: another process ended too early.
    """
    if not (dist.is_available() and dist.is_torchelastic_launched()) or is_shared():
        yield True
        return
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=_PATIENCE)
    try:
        with _naming_lost_processes(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            if is_leader():
                yield True
                _tell(None)
            else:
                with stopping_by_signal():
                    _follow()
                yield False
            # Networks that are waiting to be collected still know the connection, and all close it at one time.
            gc.collect()
            dist.barrier()
    finally:
        dist.destroy_process_group()


@contextmanager
def _naming_lost_processes() -> Iterator[None]:
    rank, n = dist.get_rank(), dist.get_world_size()
    try:
        yield
    except RuntimeError as error:  # what is thrown differs between kinds of connection
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise ConnectionError(
            f"process {rank + 1} of {n}: another process of this training ended; its own message says why, and the "
            "same command goes on where the training was saved"
        ) from error


def _tell(call: tuple | None) -> tuple | None:
    """What the leader tells the others."""
    message = [call]
    dist.broadcast_object_list(message, _LEADER, device=torch.device("cpu"))
    return message[0]


def _follow() -> None:
    """Calls what the leader calls, until it is done."""
    while (call := _tell(None)) is not None:
        function, args, kwargs = call
        function(*args, **kwargs)


class _Together(Here):
    """Calls each function in this process and in those that follow it; an interrupt waits until all have stopped."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        _tell((fn, args, kwargs))
        with stopping_by_signal():
            return super().submit(fn, *args, **kwargs)


@contextmanager
def training_pool(processes: int) -> Iterator[Executor]:
    """What calls functions that train networks: all processes together, or else a `worker_pool`."""
    pool: AbstractContextManager[Executor] = _Together() if is_shared() else worker_pool(processes)
    with pool as executor:
        yield executor


def agreed(value: float) -> float:
    """The leader's value, in all processes: what decides whether there is another step must not differ."""
    if not is_shared():
        return value
    message = torch.tensor([value], dtype=torch.float64)
    dist.broadcast(message, _LEADER)
    return message.item()


# --- one batch, several processes ----------------------------------------------------------------------------------


def shared(model: nn.Module) -> nn.Module:
    """The network as training calls it: with whole batches, of which it computes the part of this process.

    Its outputs are those of the whole batch, and so are the gradients. Without other processes it is the network
    itself.

    Args:
        model: on its device; which parameters require gradients is settled. All processes have the same.
    """
    return _Shared(model) if is_shared() else model


def each_tensor(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Tensors, and named tuples and dictionaries of them, with each tensor replaced; None stays None."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        return {name: each_tensor(function, part) for name, part in value.items()}
    return value if value is None else type(value)(*(each_tensor(function, part) for part in value))


class _Shared(nn.Module):
    """`DistributedDataParallel` that is called with the whole batch and answers with the whole batch."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.network = model
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of the newer name of an argument
            self.parts = nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Arguments and outputs are those of the network, for the whole batch.

        Raises:
            ValueError: fewer recordings than processes.
        """
        whole, rank, n = len(args[0]), dist.get_rank(), dist.get_world_size()
        if whole < n:
            raise ValueError(f"batch_size: found {whole} recordings for {n} processes, expected at least one for each")
        part = slice(whole * rank // n, whole * (rank + 1) // n)
        own = [each_tensor(lambda tensor: tensor[part], value) for value in args]
        named = {name: each_tensor(lambda tensor: tensor[part], value) for name, value in kwargs.items()}
        with _StatisticsOfWholeBatch(part, whole), _DrawsOfWholeBatch(part, whole), summed_by(_Sum.apply):
            outputs = self.parts(*own, **named)
        return each_tensor(lambda tensor: _gathered(tensor, part, whole), outputs)


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient)


def _gathered(own: Tensor, part: slice, whole: int) -> Tensor:
    """The rows of all processes.

    Every process has the whole loss, so that the gradients that come back are as many times too large as there are
    processes: `DistributedDataParallel` takes their mean in place of their sum.
    """
    return _Sum.apply(torch.cat([
        own.new_zeros(part.start, *own.shape[1:]), own, own.new_zeros(whole - part.stop, *own.shape[1:])
    ]))  # fmt: skip


class _DrawsOfWholeBatch(TorchDispatchMode):
    """Draws dropout for the whole batch and takes this process's part: all go on with the same random numbers.

    A tensor has the rows of a recording side by side, as many for each.
    """

    def __init__(self, part: slice, whole: int) -> None:
        super().__init__()
        self.first, self.rows, self.whole = part.start, part.stop - part.start, whole

    def __torch_dispatch__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is torch.ops.aten.bernoulli_.float:  # of dropout on a CPU
            drawn = self._drawn(args[0], lambda whole: whole.bernoulli_(*args[1:], **(kwargs or {})))
            return args[0].copy_(drawn)
        if func is torch.ops.aten.native_dropout.default and args[2]:  # on a GPU
            kept = self._drawn(args[0], lambda whole: torch.native_dropout(whole.fill_(1), args[1], True)[1])
            return args[0] * kept * (1 / (1 - args[1])), kept
        return func(*args, **(kwargs or {}))

    def _drawn(self, like: Tensor, draw: Callable[[Tensor], Tensor]) -> Tensor:
        each, order = len(like) // self.rows, sorted(range(like.ndim), key=lambda axis: -like.stride(axis))
        shape = [self.whole * each, *like.shape[1:]]
        # In memory it must lie as that of one process would, which is filled in the order of its memory.
        whole = like.new_empty([shape[axis] for axis in order])
        return draw(whole.permute([order.index(axis) for axis in range(like.ndim)]))[self.first * each :][: len(like)]


class _StatisticsOfWholeBatch(TorchFunctionMode):
    """Normalises with mean and variance of the whole batch; unlike `torch.nn.SyncBatchNorm`, on a CPU too."""

    def __init__(self, part: slice, whole: int) -> None:
        super().__init__()
        self.rows, self.whole = part.stop - part.start, whole

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        own = self._batch_norm if func is functional.batch_norm else func
        return own(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """`torch.nn.functional.batch_norm`."""
        if not training:
            return functional.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
        others, shape = [0, *range(2, x.ndim)], [1, -1] + [1] * (x.ndim - 2)
        n = x.numel() // x.shape[1] // self.rows * self.whole
        mean = _Sum.apply(x.float().sum(others)) / n
        centred = x.float() - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(others)) / n
        if running_mean is not None:
            with torch.no_grad():
                running_mean.lerp_(mean, momentum)
                running_var.lerp_(variance * (n / (n - 1)), momentum)
        scale = torch.rsqrt(variance + eps) * (1 if weight is None else weight)
        answer = centred * scale.view(shape)
        return (answer if bias is None else answer + bias.view(shape)).to(x.dtype)
