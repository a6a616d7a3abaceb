"""A SavedModel as a function of images in JAX: its graph, its constants and its variables."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from eval.networks.graph import Library, evaluate, is_weight, of_function, tensor_value
from eval.networks.saved_model_messages import MESSAGES
from eval.networks.tensor_bundle import TensorBundle

_SIGNATURE, _CALL = "serving_default", "__call__"


class SavedModel(NamedTuple):
    """A function of images.

    Attributes:
      params: its weights, {name: array}.
      apply: `(params, images) -> {name: output}`, to be compiled.
    """

    params: dict[str, np.ndarray]
    apply: Callable[[Mapping[str, Any], jax.Array], dict[str, jax.Array]]


def read_saved_model(path: Path) -> SavedModel:
    """Reads a SavedModel's folder: its default signature, or else how it is called.

    Raises:
      ValueError: it is damaged, or has no such function of one array.
    """
    (meta,) = MESSAGES["SavedModel"].FromString((path / "saved_model.pb").read_bytes()).meta_graphs[:1]
    library = {function.signature.name: function for function in meta.graph_def.library.function}
    params, values = _hoisted(meta.graph_def, library), _Variables(path / "variables", meta)
    if _SIGNATURE in meta.signature_def:
        return _of_signature(meta, library, params, values)
    return _of_call(meta, library, params, values)


def _of_signature(meta: Any, library: Library, params: dict, values: "_Variables") -> SavedModel:
    """Returns the default signature, which is a part of the main graph."""
    signature = meta.signature_def[_SIGNATURE]
    if len(signature.inputs) != 1:
        raise ValueError(f"its signature takes {len(signature.inputs)} arrays, not one")
    (image,) = (_node_name(x.name) for x in signature.inputs.values())
    fetches = {key: x.name for key, x in signature.outputs.items()}
    handles = values.of_handles(meta.graph_def)

    def apply(params: Mapping, images: jax.Array) -> dict[str, jax.Array]:
        feeds = {image: images, **{name: params[key] for name, key in handles.items()}}
        found = evaluate(meta.graph_def.node, feeds, list(fetches.values()), library, params, "")
        return dict(zip(fetches, found, strict=True))

    return SavedModel(params | values.read(handles.values()), apply)


def _of_call(meta: Any, library: Library, params: dict, values: "_Variables") -> SavedModel:
    """Returns the function that the model's root is called by."""
    nodes, functions = meta.object_graph_def.nodes, meta.object_graph_def.concrete_functions
    children = {child.local_name: child.node_id for child in nodes[0].children} if nodes else {}
    if _CALL not in children:
        raise ValueError(f"it has no signature {_SIGNATURE} and cannot be called")
    for name in nodes[children[_CALL]].function.concrete_functions:
        bound = list(functions[name].bound_inputs)
        function = library[name]
        if len(function.signature.input_arg) == len(bound) + 1:
            break
    else:
        raise ValueError("it cannot be called with one array")
    names = sorted(functions[name].output_signature.dict_value.fields)  # as TensorFlow flattens them
    keys = [values.key(node) for node in bound]

    def apply(params: Mapping, images: jax.Array) -> dict[str, jax.Array]:
        outputs = of_function(name, [images, *(params[key] for key in keys)], library, params)
        return dict(zip(names, outputs, strict=True))

    return SavedModel(params | values.read(keys), apply)


class _Variables:
    """The values of variables, by the keys of the bundle that holds them."""

    def __init__(self, folder: Path, meta: Any):
        self._bundle = TensorBundle(folder) if (folder / "variables.index").is_file() else None
        self._keys = self._bundle.object_keys() if self._bundle else {}
        self._functions = meta.object_graph_def.concrete_functions

    def key(self, node: int) -> str:
        """Returns the key of an object's value.

        Raises:
          ValueError: it has none.
        """
        if node not in self._keys:
            raise ValueError(f"object {node}, which a function needs, is no variable")
        return self._keys[node]

    def of_handles(self, graph: Any) -> dict[str, str]:
        """Returns {node of the main graph: key of the variable that it stands for}.

        A call's last arguments are what its function is bound to.
        """
        found = {}
        for node in graph.node:
            bound = self._functions[name].bound_inputs if (name := _called(node)) in self._functions else []
            handles = [_node_name(x) for x in node.input if not x.startswith("^")]
            for handle, number in zip(handles[len(handles) - len(bound) :], bound, strict=True):
                found[handle] = self.key(number)
        return found

    def read(self, keys: Any) -> dict[str, np.ndarray]:
        """Returns {key: value}."""
        return {key: self._bundle[key] for key in keys}


def _called(node: Any) -> str:
    """Returns the name of the function that a node calls; "" for none."""
    return node.attr["f"].func.name if "f" in node.attr else ""


def _node_name(tensor: str) -> str:
    return tensor.partition(":")[0]


def _hoisted(graph: Any, library: Library) -> dict[str, np.ndarray]:
    """Returns the large constants of all functions, which are weights, as `evaluate` looks them up."""
    params = {}
    for scope, nodes in (("", graph.node), *((n, f.node_def) for n, f in library.items())):
        for node in nodes:
            if node.op == "Const" and is_weight(node):
                params[f"{scope}/{node.name}"] = tensor_value(node.attr["value"].tensor)
    return params
