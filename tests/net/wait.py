"""Waiting, with a deadline: the only file of these tests that may sleep.

A machine with two busy cores and a sanitised program is slow, so deadlines are generous: they end a
test that hangs, they measure nothing.
"""

import time


def until(condition, what, seconds=20, step=0.02):
    """Calls `condition` until it returns something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(step)


class Pace:
    """Slows a sender down to `rate` bytes a second; 0 leaves it as fast as it is."""

    def __init__(self, rate):
        self.rate, self.begin, self.sent = rate, time.monotonic(), 0

    def spent(self, count):
        self.sent += count
        if self.rate:
            ahead = self.begin + self.sent / self.rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)


def hold(seconds, fine=lambda: True):
    """For what must stay as it is for a while: false as soon as `fine` is not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not fine():
            return False
        time.sleep(0.05)
    return True
