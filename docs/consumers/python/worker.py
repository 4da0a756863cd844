"""A worker for the test of rotated_key.py. For each number that it reads, it makes that number of calls in each of four
threads, and prints how many failed."""

import os
import sys
import threading

import quilt3
from rotated_key import RotatedKey

quilt3.config(os.environ["QUILT_CATALOG"])
key = RotatedKey(
    os.environ["QUILT_SECRET"],
    registry=os.environ.get("QUILT_REGISTRY"),
    max_age=float(os.environ.get("MAX_AGE", "300")),
)


def work(calls, errors):
    for _ in range(calls):
        try:
            if not key.call(quilt3.api_keys.list):
                errors.append("the list is empty")
        except Exception as error:  # any exception is a failed call
            errors.append(f"{type(error).__name__}: {error}")


print("ready", flush=True)
for line in sys.stdin:
    errors = []
    threads = [threading.Thread(target=work, args=(int(line), errors)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{len(errors)} failed" + (f": {errors[0]}" if errors else ""), flush=True)
