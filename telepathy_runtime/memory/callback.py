"""A callback that runs the monitor in transformers' Trainer."""

from __future__ import annotations

from typing import Any

from telepathy_runtime.memory.devices import reset_peaks
from telepathy_runtime.memory.monitor import Monitor


def trainer_callback(monitor: Monitor, every: int = 100) -> Any:
    """Return a TrainerCallback that records the load, the first three steps and then every `every`-th step.

    Needs transformers.
    """
    from transformers import TrainerCallback

    class MemoryCallback(TrainerCallback):  # type: ignore[misc, unused-ignore]
        """Measures each step from start to end; it checks the Trainer's own optimizer."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            monitor.after_load(kwargs["model"])

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            reset_peaks()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            monitor.stepped()
            if state.global_step <= 3 or state.global_step % every == 0:
                monitor.after_step(kwargs["model"], kwargs["optimizer"])

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            monitor.end()

    return MemoryCallback()
