"""TensorFlow graphs of image networks, evaluated in JAX: nodes in order of need, each by `operations`."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from eval.networks.operations import OPERATIONS
from eval.networks.tensor_bundle import TYPES, tensor_from_bytes

# What operations call their first output, or all that are in one list.
_FIRST_OUTPUTS = ("activations", "output", "product", "resized_images", "result", "softmax", "sum", "value")
_FIRST_OUTPUTS += ("y", "z")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_LEAST_WEIGHTS = 256  # numbers of a constant that is an argument of the compiled function, not a part of it


class UnknownOperationError(ValueError):
    """A graph has an operation that is not in `OPERATIONS`."""


Library = Mapping[str, Any]  # the functions that nodes call, by name


def is_weight(node: Any) -> bool:
    """Tells whether a constant is a weight: a large array of real numbers."""
    tensor = node.attr["value"].tensor
    size = np.prod([dim.size for dim in tensor.tensor_shape.dim])
    return bool(size >= _LEAST_WEIGHTS) and tensor.dtype in (1, 2, 19)


def of_function(name: str, arguments: Sequence[Any], library: Library, params: Mapping) -> list[Any]:
    """Returns the outputs of a function of the library."""
    function = library[name]
    names = [argument.name for argument in function.signature.input_arg]
    fetches = [function.ret[output.name] for output in function.signature.output_arg]
    feeds = dict(zip(names, arguments, strict=True))
    return evaluate(function.node_def, feeds, fetches, library, params, name)


def evaluate(
    nodes: Sequence[Any],
    feeds: Mapping[str, Any],
    fetches: Sequence[str],
    library: Library,
    params: Mapping[str, Any],
    scope: str,
) -> list[Any]:
    """Returns tensors of a graph.

    Args:
      nodes: of the graph.
      feeds: {name: value} of arguments, and of nodes that are not evaluated.
      fetches: names of tensors: `node`, `node:number`, or in a function `node:output:number`.
      library: the functions that nodes may call.
      params: the large constants, {scope/node: array}; see `is_weight`.
      scope: the name of the function whose nodes these are; "" for the main graph.

    Raises:
      UnknownOperationError: it needs an operation that is not known.
    """
    by_name, done = {node.name: node for node in nodes}, {name: [value] for name, value in feeds.items()}
    waiting = [_split(name)[0] for name in fetches]
    while waiting:  # no recursion: graphs are deeper than Python's stack
        name = waiting[-1]
        if name in done:
            waiting.pop()
            continue
        node = by_name[name]
        inputs = [_split(x) for x in node.input if not x.startswith("^")]
        if missing := [x for x, _ in inputs if x not in done]:
            waiting += missing
            continue
        values = [done[x][i] for x, i in inputs]
        with jax.numpy_rank_promotion("allow"):  # as in TensorFlow
            done[name] = _outputs(node, values, library, params, scope)
    return [done[x][i] for x, i in map(_split, fetches)]


def _outputs(node: Any, inputs: list, library: Library, params: Mapping, scope: str) -> Sequence[Any]:
    """Returns the outputs of a node."""
    if node.op == "Const":
        key = f"{scope}/{node.name}"
        return [params[key] if key in params else tensor_value(node.attr["value"].tensor)]
    if node.op in _CALLS:
        return of_function(node.attr["f"].func.name, inputs, library, params)
    if node.op not in OPERATIONS:
        raise UnknownOperationError(f"operation {node.op} of '{node.name}'")
    outputs = OPERATIONS[node.op](node.attr, *inputs)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _split(tensor: str) -> tuple[str, int]:
    """Returns (node, number of its output) of a tensor's name.

    Raises:
      UnknownOperationError: it is an output with a name of its own, and not the first.
    """
    name, *rest = tensor.split(":")
    if len(rest) == 2 and rest[0] not in _FIRST_OUTPUTS:
        raise UnknownOperationError(f"output {rest[0]} of '{name}'")
    return name, int(rest[-1]) if rest else 0


def tensor_value(tensor: Any) -> np.ndarray:
    """Returns a constant's value. A tensor may be given as bytes, or as a list whose last one is repeated.

    Raises:
      ValueError: it is damaged, or not of numbers.
    """
    if tensor.tensor_content:
        return tensor_from_bytes(tensor.dtype, tensor.tensor_shape, tensor.tensor_content)
    if tensor.dtype not in TYPES:
        return np.array(None)  # text, of an assertion's message
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    fields = (tensor.float_val, tensor.double_val, tensor.int_val, tensor.int64_val, tensor.bool_val)
    given = next((list(field) for field in fields if len(field)), [0])
    if len(tensor.half_val):
        given = np.array(tensor.half_val, np.uint16).view(np.float16)
    flat = np.full(int(np.prod(shape)), given[-1], TYPES[tensor.dtype])
    flat[: len(given)] = given[: len(flat)]
    return flat.reshape(shape)
