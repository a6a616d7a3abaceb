"""Files and folders that are removed while others write."""

import contextlib
import threading
import time

from lib.runtime import files


def test_a_folder_that_threads_make_anew_is_removed_in_the_end(tmp_path):
    folder = tmp_path / "best.tmp"

    def write() -> None:
        for i in range(8):
            (folder / "deep").mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # it is removed meanwhile
                (folder / "deep" / str(i)).touch()
            time.sleep(0.1)

    writer = threading.Thread(target=write)
    writer.start()
    files.remove_tree(folder)
    writer.join()
    assert not folder.exists()
