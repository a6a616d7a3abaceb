"""Options of networks that a config chooses by name: their types, limits and defaults."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Field

from lib.config import Section, to_plain, validate
from lib.errors import ConfigError, lookup
from lib.schema import Named

Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Choice = TypeVar("Choice")  # an entry of a registry, with a class of `options`


class NetOptions(Section):
    """The options of a network that has none, and the base of all others, whose fields have defaults."""

    @property
    def halvings(self) -> int:
        """Returns how often the network halves its images, leaving out odd rows and columns."""
        return 0

    @classmethod
    def without_defaults(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values that are not the defaults: those that a config has to name."""
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        return {k: v for k, v in to_plain(values).items() if k not in defaults or v != defaults[k]}


def choose(registry: Mapping[str, Choice], section: Named) -> tuple[Choice, NetOptions]:
    """Returns the entry that a section of the config names, and its options with those of the section.

    Raises:
      ConfigError: an unknown name, or arguments that the entry does not take; the field is relative to the
        section.
    """
    entry = lookup(registry, section.name, "name")
    if section.kwargs and not entry.options.model_fields:
        raise ConfigError(
            f"'{section.name}' takes no arguments; set kwargs to {{}}",
            f"kwargs.{next(iter(section.kwargs))}",
        )
    return entry, validate(entry.options, section.kwargs, "kwargs")


def check_depth(depth: int, layers: int) -> None:
    """Checks that a depth is `layers` n + 4, of three stages of whole blocks.

    Raises:
      ConfigError: it is not; the text names the nearest ones that are.
    """
    if depth < layers + 4 or (depth - 4) % layers:
        below = max((depth - 4) // layers, 1) * layers + 4
        raise ConfigError(f"{depth} is not {layers} n + 4; use {below} or {below + layers}", "depth")
