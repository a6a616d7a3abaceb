"""What a search is for: a metric that is to be small or large."""

import dataclasses

from experiments import registry
from lib.errors import ConfigError, nearest
from lib.schema import Run


@dataclasses.dataclass(frozen=True)
class Goal:
    """A metric, and whether its least value is sought."""

    metric: str
    minimize: bool

    @classmethod
    def parse(cls, text: str) -> "Goal":
        """Reads `-test/loss`, to be made small, or `test/accuracy`, to be made large.

        Raises:
          ConfigError: no metric, or one without its source.
        """
        name = text.removeprefix("-")
        if name.partition("/")[0] not in ("train", "test", "eval") or not name.partition("/")[2]:
            raise ConfigError(f"'{text}' is no metric; write -test/loss or test/accuracy", "--metric")
        return cls(name, text.startswith("-"))

    def check(self, config: Run) -> None:
        """Checks before anything is trained that runs will measure it, where that is known.

        Raises:
          ConfigError: they will not.
        """
        source, _, name = self.metric.partition("/")
        if source == "test":
            known = registry.programs(config).metric_names()
            if not config.eval_every or name not in known:
                hint = nearest(self.metric, [f"test/{known_name}" for known_name in known])
                text = f"no {self.metric}{hint}" if config.eval_every else "set config.eval_every"
                raise ConfigError(text, "--metric")
