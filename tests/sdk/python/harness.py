"""What every script needs: checks that print what they checked, waits with a deadline, a subscriber, an orderly end."""

import itertools
import json
import os
import sys
import threading
import time
import traceback

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

WAIT_S = 15.0
SCRIPT_S = 50.0
SHUTDOWN_S = 8.0


def _required(name):
    value = os.environ.get(name)
    if not value:
        sys.exit(f"{name} is not set; see tests/sdk/README.md")
    return value.rstrip("/")


WORKERS = _required("WEIR_WORKERS")
STREAMS = _required("WEIR_STREAMS")
RUN = f"{os.getpid():x}{time.time_ns() // 1_000_000:x}"

_checks = itertools.count(1)
_count = 0
_cleanups = []


def unique(name):
    """Names of this run only, so that a script can be run twice against one server."""
    return f"{name}-{RUN}"


def check(what, actual, expected):
    """Equality in which `1`, `1.0` and `True` differ as they do in JSON."""
    same = actual == expected and json.dumps(actual, sort_keys=True) == json.dumps(expected, sort_keys=True)
    assert same, f"{what}\n  got      {actual!r}\n  expected {expected!r}"
    _passed(what)


def holds(what, condition, detail=None):
    assert condition, f"{what}: {detail!r}"
    _passed(what)


def _passed(what):
    global _count
    _count = next(_checks)
    print(f"ok {what}", flush=True)


def rejection(what, function, *args):
    """The exception an invocation ends with; fails if it succeeds."""
    try:
        result = function(*args)
    except Exception as error:  # noqa: BLE001 - each SDK version has a class of its own
        return error
    raise AssertionError(f"{what} should have failed, but returned {result!r}")


def until(what, probe, seconds=WAIT_S):
    """Waits until `probe` gives something true and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.005)


def on_end(cleanup):
    _cleanups.append(cleanup)


def main(script):
    """Runs the script. The SDK must then shut down quickly and the process end by itself."""
    watch = threading.Timer(SCRIPT_S, _stuck)
    watch.daemon = True
    watch.start()
    try:
        script()
        for cleanup in reversed(_cleanups):
            start = time.monotonic()
            cleanup()
            took = time.monotonic() - start
            assert took < SHUTDOWN_S, f"{cleanup} took {took:.1f} s; is a Close frame answered?"
    except BaseException:
        traceback.print_exc()
        print("FAILED", flush=True)
        os._exit(1)
    print(f"passed, {_count} checks", flush=True)


def _stuck():
    print(f"FAILED: still running after {SCRIPT_S} s", flush=True)
    for frame in sys._current_frames().values():
        traceback.print_stack(frame)
    os._exit(1)


class Client:
    """A WebSocket subscriber that keeps every frame and checks the order of timestamps (protocol.md C.6)."""

    def __init__(self, path, *, headers=None, protocols=None):
        self.frames = []
        self.fault = None
        self._last = {}
        self.socket = connect(f"{STREAMS}{path}", additional_headers=headers, subprotocols=protocols)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        on_end(self.close)

    def join(self, subscription_id, stream_name, group_id, item_id=None):
        data = {"subscriptionId": subscription_id, "streamName": stream_name, "groupId": group_id}
        self.socket.send(json.dumps({"type": "join", "data": data if item_id is None else {**data, "id": item_id}}))

    def wait(self, count):
        """Waits for at least `count` frames."""
        until(lambda: f"{count} frames; have {self.events()[-3:]}", lambda: self._sound() and len(self.frames) >= count)
        return self.frames

    def events(self):
        """`(event type, item id, data)` of every frame."""
        return [[f["event"]["type"], f["id"], f["event"].get("event", f["event"].get("data"))] for f in self.frames]

    def close(self):
        self.socket.close()

    def _sound(self):
        if self.fault:
            raise self.fault
        return True

    def _read(self):
        try:
            for text in self.socket:
                assert isinstance(text, str), "frames are text"
                frame = json.loads(text)
                assert set(frame) == {"type", "timestamp", "streamName", "groupId", "id", "event"}, text
                assert frame["type"] == "stream" and isinstance(frame["timestamp"], int), text
                group = (frame["streamName"], frame["groupId"])
                last, kind = self._last.get(group), frame["event"]["type"]
                if last is not None and kind != "unauthorized":
                    grows = frame["timestamp"] >= last if kind == "sync" else frame["timestamp"] > last
                    assert grows, f"timestamp after {last}: {text}"
                self._last[group] = frame["timestamp"]
                self.frames.append(frame)
        except ConnectionClosed:
            pass
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            self.fault = error
