"""What the processes of one run tell one another: two processes, of two devices each."""

import json
import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from conftest import ROOT, reserved_address

from lib.errors import ConfigError
from lib.runtime import devices, processes

TREE = {
    "step": np.int64(2**40 + 1),
    "x": np.array([-0.0, np.inf, 1e-45], np.float32),
    "b": np.array([[True]]),
}


def refusal(call) -> str:
    try:
        call()
    except ConfigError as error:
        return str(error)
    return "none"


def hexadecimal(tree) -> dict[str, str]:
    return {name: f"{leaf.dtype}{leaf.shape} {leaf.tobytes().hex()}" for name, leaf in tree.items()}


def conversation() -> dict:
    """Returns what a process learns from both; each runs it."""
    me = jax.process_index()

    def refused_in_1():
        with processes.together(ConfigError):
            if me == 1:
                raise ConfigError("no such café")

    own = TREE if me == 0 else jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), TREE)
    part = devices.local_part(devices.all_devices())
    return {
        "first": processes.is_first(),
        "count": processes.count(),
        "part": [part.start, part.stop],
        "from_first": hexadecimal(processes.from_first(own)),
        "gathered": processes.gather(jax.numpy.full((2, 1), 1.5 + me)).tolist(),
        "refused": refusal(refused_in_1),
        "same": refusal(lambda: processes.check_same("a", "not the same")),
        "largest": processes.largest(7 + me),
        "other": refusal(lambda: processes.check_same(f"a{me}", "not the same")),
    }


@pytest.fixture(scope="module")
def both(program_env):
    """Starts two processes and returns what each of them learned."""
    env = {k: v for k, v in program_env.items() if not k.lower().endswith("_proxy")}
    env |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    with reserved_address() as address:
        env |= {"JAX_COORDINATOR_BIND_ADDRESS": address}
        command = [sys.executable, __file__, address]
        both = [
            subprocess.Popen([*command, str(i)], env=env, text=True, stderr=subprocess.PIPE) for i in (0, 1)
        ]
        try:
            return [json.loads(p.communicate(timeout=200)[1].splitlines()[-1]) for p in both]
        finally:
            for process in both:
                process.kill()
                process.wait()


@pytest.mark.program
def test_each_knows_its_place(both):
    assert [b["first"] for b in both] == [True, False]
    assert [b["count"] for b in both] == [2, 2]
    assert [b["part"] for b in both] == [[0, 2], [2, 4]]


@pytest.mark.program
def test_the_first_ones_arrays_arrive_bit_for_bit(both):
    assert [b["from_first"] for b in both] == [hexadecimal(TREE)] * 2


@pytest.mark.program
def test_rows_are_gathered_in_the_order_of_processes(both):
    assert [b["gathered"] for b in both] == [[[1.5], [1.5], [2.5], [2.5]]] * 2


@pytest.mark.program
def test_all_hear_the_largest_number(both):
    assert [b["largest"] for b in both] == [8, 8]


@pytest.mark.program
def test_an_error_of_one_is_raised_by_all(both):
    assert [b["refused"] for b in both] == ["process 1: no such café", "no such café"]


@pytest.mark.program
def test_what_differs_is_refused_by_all(both):
    assert [b["same"] for b in both] == ["none"] * 2
    assert [b["other"] for b in both] == ["process 1: not the same", "not the same"]


def test_one_process_says_nothing_to_itself():
    assert processes.from_first(TREE) is TREE
    rows = jax.numpy.zeros((2, 3))
    assert processes.gather(rows) is rows
    assert processes.largest(3) == 3
    processes.check_same("a", "not the same")
    with pytest.raises(ConfigError, match="^mine$"), processes.together(ConfigError):
        raise ConfigError("mine")


def test_a_port_in_use_is_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        refused = pytest.raises(ConfigError, match=f"^--coordinator: cannot listen on port {port} ")
        with refused, processes.joined(processes.Address(f"127.0.0.1:{port}", 2, 0), 5.0):
            pytest.fail("joined")


if __name__ == "__main__":
    with processes.joined(processes.Address(sys.argv[1], 2, int(sys.argv[2])), 50.0):
        print(json.dumps(conversation()), file=sys.stderr)
