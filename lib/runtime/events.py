"""TensorBoard's events: files of scalars and pictures, written by the thread that has them."""

import struct
import time
from pathlib import Path

_SECONDS_BETWEEN_FLUSHES = 10.0


class Events:
    """Appends scalars and pictures to a new file of events."""

    def __init__(self, folder: Path, first_step: int | None = None):
        """Opens the file, in a folder that is made if need be.

        Args:
          first_step: readers drop what earlier files of the folder have of this and later steps.
        """
        from tensorboardX import event_file_writer, summary  # whoever only reads need not wait for it
        from tensorboardX.proto import event_pb2, summary_pb2

        folder.mkdir(parents=True, exist_ok=True)
        self._event, self._scalar, self._value = event_pb2.Event, summary.scalar, summary_pb2.Summary
        # Not SummaryWriter: it writes in a thread, whose death of a full disk would block training.
        # Files of one second would have one name.
        self._file = event_file_writer.EventsWriter(str(folder / "events"), f".{time.time_ns()}")
        self._flushed = time.monotonic()
        if first_step is not None:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(first_step, session_log=start)

    def scalar(self, name: str, value: float, step: int) -> None:
        """Appends one number; every ten seconds all are put on disk."""
        self._write(step, summary=self._scalar(name, value))
        if time.monotonic() - self._flushed > _SECONDS_BETWEEN_FLUSHES:
            self.flush()

    def picture(self, name: str, png: bytes, step: int) -> None:
        """Appends a picture."""
        width, height = struct.unpack(">II", png[16:24])  # of the header's chunk, the first one
        image = self._value.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        self._write(step, summary=self._value(value=[self._value.Value(tag=name, image=image)]))

    def flush(self) -> None:
        """Puts all on disk."""
        self._file.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        self._file.close()

    def _write(self, step: int, **what) -> None:
        self._file.write_event(self._event(wall_time=time.time(), step=step, **what))
