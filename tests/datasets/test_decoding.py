import threading
import time

import numpy as np
import pytest

from keras_affect.datasets.decoding import in_order


class Slow:
    """Earlier pictures take longer, so that threads finish out of order."""

    def __init__(self):
        self.asked = 0
        self.threads = set()

    def picture(self, index):
        self.asked += 1
        self.threads.add(threading.current_thread().name)
        time.sleep(0.002 * (3 - index % 4))
        if index % 7 == 3:
            raise ValueError(f"picture {index} is at fault")
        return np.full((2, 2, 1), index, np.uint8)


def test_order_is_kept_and_faults_stand_in_their_place():
    data = Slow()
    found = list(in_order(data, range(5, 40), threads=4))
    assert [index for index, _ in found] == list(range(5, 40))
    for index, picture in found:
        if index % 7 == 3:
            assert str(picture) == f"picture {index} is at fault"
        else:
            assert (picture == index).all()
    assert len(data.threads) > 1


def test_only_a_few_are_decoded_ahead():
    data = Slow()
    pictures = in_order(data, range(1_000), threads=2)
    next(pictures)
    time.sleep(0.1)
    assert data.asked <= 9
    pictures.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decoding")]


def test_other_errors_are_raised():
    class Broken:
        def picture(self, index):
            raise MemoryError

    with pytest.raises(MemoryError):
        list(in_order(Broken(), range(3)))
