"""The protocol buffers of a SavedModel, as far as they are read here, declared without TensorFlow.

Fields that are not named below are skipped by the parser. Numbers and types are those of TensorFlow's
saved_model.proto, meta_graph.proto, graph.proto, function.proto, op_def.proto, node_def.proto,
attr_value.proto, tensor.proto, tensor_shape.proto, saved_object_graph.proto, struct.proto,
trackable_object_graph.proto and tensor_bundle.proto.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# {message: {field: (number, type)}}; `*` marks a repeated field, `{T}` a map of strings to T.
_MESSAGES = {
    "SavedModel": {"meta_graphs": (2, "*MetaGraph")},
    "MetaGraph": {
        "graph_def": (2, "Graph"),
        "signature_def": (5, "{Signature}"),
        "object_graph_def": (7, "ObjectGraph"),
    },
    "Signature": {"inputs": (1, "{TensorInfo}"), "outputs": (2, "{TensorInfo}")},
    "TensorInfo": {"name": (1, "string")},
    "Graph": {"node": (1, "*Node"), "library": (2, "Library")},
    "Library": {"function": (1, "*Function")},
    "Function": {"signature": (1, "Op"), "node_def": (3, "*Node"), "ret": (4, "{string}")},
    "Op": {"name": (1, "string"), "input_arg": (2, "*Arg"), "output_arg": (3, "*Arg")},
    "Arg": {"name": (1, "string")},
    "Node": {
        "name": (1, "string"),
        "op": (2, "string"),
        "input": (3, "*string"),
        "attr": (5, "{Attr}"),
    },
    "Attr": {
        "list": (1, "List"),
        "s": (2, "bytes"),
        "i": (3, "int64"),
        "f": (4, "float"),
        "b": (5, "bool"),
        "type": (6, "int32"),
        "tensor": (8, "Tensor"),
        "func": (10, "NamedFunction"),
    },
    "List": {"i": (3, "*int64")},
    "NamedFunction": {"name": (1, "string")},
    "Tensor": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "Shape"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "*float"),
        "double_val": (6, "*double"),
        "int_val": (7, "*int32"),
        "int64_val": (10, "*int64"),
        "bool_val": (11, "*bool"),
        "half_val": (13, "*int32"),  # bits
    },
    "Shape": {"dim": (2, "*Dim")},
    "Dim": {"size": (1, "int64")},
    "ObjectGraph": {"nodes": (1, "*Object"), "concrete_functions": (2, "{ConcreteFunction}")},
    "Object": {"children": (1, "*Child"), "function": (6, "SavedFunction")},
    "Child": {"node_id": (1, "int32"), "local_name": (2, "string")},
    "SavedFunction": {"concrete_functions": (1, "*string")},
    "ConcreteFunction": {"bound_inputs": (2, "*int32"), "output_signature": (4, "Structure")},
    "Structure": {"dict_value": (53, "Dictionary")},
    "Dictionary": {"fields": (1, "{Structure}")},
    "CheckpointGraph": {"nodes": (1, "*CheckpointObject")},
    "CheckpointObject": {"attributes": (2, "*CheckpointAttribute")},
    "CheckpointAttribute": {"checkpoint_key": (3, "string")},
    "BundleEntry": {
        "dtype": (1, "int32"),
        "shape": (2, "Shape"),
        "shard_id": (3, "int32"),
        "offset": (4, "int64"),
        "size": (5, "int64"),
    },
}
_PACKAGE = "saved_model_reader"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    name: getattr(_Field, f"TYPE_{name.upper()}")
    for name in ("string", "bytes", "int32", "int64", "float", "double", "bool")
}


def _declare() -> dict[str, type]:
    """Returns {name: class of the message}."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label = _Field.LABEL_REPEATED if kind[0] in "*{" else _Field.LABEL_OPTIONAL
            if kind[0] == "{":
                entry = message.nested_type.add(name=f"{field.title().replace('_', '')}Entry")
                entry.options.map_entry = True
                _add(entry, "key", 1, "string", _Field.LABEL_OPTIONAL)
                _add(entry, "value", 2, kind[1:-1], _Field.LABEL_OPTIONAL)
                kind = f"{name}.{entry.name}"
            _add(message, field, number, kind.removeprefix("*"), label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = (pool.FindMessageTypeByName(f"{_PACKAGE}.{name}") for name in _MESSAGES)
    return {d.name: message_factory.GetMessageClass(d) for d in found}


def _add(message: descriptor_pb2.DescriptorProto, field: str, number: int, kind: str, label: int) -> None:
    """Adds a field of a scalar type or of another message to a message's declaration."""
    added = message.field.add(name=field, number=number, label=label)
    if kind in _SCALARS:
        added.type = _SCALARS[kind]
    else:
        added.type, added.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"


MESSAGES = _declare()
