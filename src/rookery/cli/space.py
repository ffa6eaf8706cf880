"""Whether the disk has room for a model, before it is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from rookery.cli.tables import human_bytes
from rookery.errors import SettingsError

if TYPE_CHECKING:
    from rookery.formats import Checkpoint

__all__ = ["check_space"]

_SPARE = 1.02  # headers, alignment, vectors kept in float32


def check_space(checkpoint: Checkpoint, target: Path, dtype: str | None = None) -> None:
    """SettingsError when the disk cannot hold the model, in `dtype` if given."""
    from rookery.formats.sizes import total_bytes
    from rookery.quant import FORMATS

    folder = Path(os.path.realpath(target)).parent
    if not folder.is_dir() or (dtype is not None and dtype not in FORMATS):
        return  # save_checkpoint says what is wrong
    need = int(_SPARE * total_bytes((checkpoint.tensors | checkpoint.initial_state).values(), dtype))
    free = shutil.disk_usage(folder).free
    if need > free:
        raise SettingsError(
            f"{target}: the model needs about {human_bytes(need)}, but {folder} has {human_bytes(free)} left; free "
            "some space or choose another place or a smaller dtype"
        )
