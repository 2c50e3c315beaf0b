"""What happens beside the training loop: the loss in the log, checkpoints, and an end to bad runs.

Imports transformers, so only the process that trains imports this module.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from transformers import TrainerCallback

from bonito_assets.tuning.checkpoints import Checkpoints, Progress
from bonito_assets.tuning.errors import TuningError

_SECONDS_BETWEEN_LINES = 5.0
# Saving takes at most this share of the time, however large the model and slow the disk.
_SHARE_OF_SAVING = 0.05
_BARS = "▁▂▃▄▅▆▇█"
_BARS_SHOWN = 24


class Watch(TrainerCallback):
    """Logs progress with rate, time left and the curve so far; saves by the clock.

    Raises ``TuningError`` when loss or gradient are not numbers. Without `checkpoints` nothing is
    saved; with them every `seconds` (0 = each step), and after the last step.
    """

    def __init__(
        self,
        steps: int,
        log: Callable[[str], None],
        checkpoints: Checkpoints | None,
        progress: Progress,
        seconds: float,
    ) -> None:
        self._steps = steps
        self._log = log
        self._checkpoints = checkpoints
        self._before = progress
        self._wait = self._seconds = seconds
        self._began = self._last_line = self._last_save = time.monotonic()

    @property
    def seconds(self) -> float:
        """Gives the seconds of training, those before a resumption included."""
        return self._before.seconds + time.monotonic() - self._began

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Starts the clocks."""
        self._began = self._last_line = self._last_save = time.monotonic()

    def on_evaluate(self, _args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Starts the clocks anew after the measurement before the first step."""
        if state.global_step == self._before.step:
            self.on_train_begin()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Asks for a checkpoint when it is time, and for the last point of the curve."""
        last = state.global_step == self._steps
        control.should_log |= last
        if self._checkpoints is not None:
            due = last or time.monotonic() - self._last_save >= self._wait
            control.should_save |= _as_first_process(due, args)
            self._last_save = time.monotonic() if control.should_save else self._last_save

    def on_save(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Declares the checkpoint whole that every process has written by now."""
        if args.world_size > 1:
            import torch

            torch.distributed.barrier()
        if state.is_world_process_zero:
            resumed = self._before.resumed_at
            self._checkpoints.declare_whole(Progress(state.global_step, self.seconds, resumed))
        cost = time.monotonic() - self._last_save
        self._wait = self._seconds and max(self._seconds, cost / _SHARE_OF_SAVING)

    def on_log(
        self, _args: Any, state: Any, _control: Any, logs: dict[str, float], **_: Any
    ) -> None:
        """Writes the line, and stops a run whose loss is no number."""
        if "loss" not in logs:
            return
        loss, step = float(logs["loss"]), state.global_step
        if not math.isfinite(loss) or not math.isfinite(logs.get("grad_norm", 0.0)):
            raise TuningError(
                f"the loss was not a number at step {step} of {self._steps}; the earlier model is "
                "kept. Lower tuning.learning_rate, and check the base model's weights"
            )
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES or step == self._steps:
            self._last_line = now
            rate = (step - self._before.step) / max(now - self._began, 1e-9)
            self._log(
                f"tuning: step {step:,} of {self._steps:,}, loss {loss:.3f} "
                f"{curve([value for _, value in losses(state)])}, {rate:.2f} steps/s, "
                f"{(self._steps - step) / rate:,.0f} s left"
            )


def losses(state: Any) -> list[tuple[int, float]]:
    """Gives (step, mean loss since the point before) of a trainer's state, resumed or not."""
    return [(int(p["step"]), float(p["loss"])) for p in state.log_history if "loss" in p]


def held_out_loss(state: Any) -> float:
    """Gives the held-out loss before the first step of a trainer's state, resumed or not."""
    return next(float(p["eval_loss"]) for p in state.log_history if "eval_loss" in p)


def curve(values: Sequence[float]) -> str:
    """Gives a curve as one line of at most 24 bars, the greatest value as the highest."""
    parts = min(len(values), _BARS_SHOWN)
    edges = [len(values) * part // parts for part in range(parts + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((mean - low) * scale)] for mean in means)


def _as_first_process(due: bool, args: Any) -> bool:
    """Gives what the first process says: clocks differ, and all have to save together."""
    if args.world_size == 1:
        return due
    import torch

    said = torch.tensor([int(due)], device=args.device)
    torch.distributed.broadcast(said, src=0)
    return bool(said.item())
