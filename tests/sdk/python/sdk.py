"""One face for iii-sdk 0.10.0 and 0.25.0, so that the scripts hold the product's examples word for word."""

import ast
import sys
import warnings
from importlib.metadata import version

import harness
import iii as _iii
from iii import TriggerAction

VERSION = sys.argv[1] if len(sys.argv) > 1 else version("iii-sdk")
if version("iii-sdk") != VERSION:
    sys.exit(f"this environment has iii-sdk {version('iii-sdk')}, not {VERSION}; see tests/sdk/README.md")
IS_010 = VERSION == "0.10.0"
# 0.25 calls triggers, trigger types and streams deprecated; they are what is tested here.
warnings.simplefilter("ignore")

__all__ = ["IS_010", "VERSION", "TriggerAction", "call", "code_of", "create_stream", "register_worker", "registered", "trigger_rows"]


def register_worker(address=harness.WORKERS, **options):
    """A connected worker with the product's `register_function({'id': ...}, fn)` in every version."""
    worker = _iii.register_worker(address, _iii.InitOptions(**options) if options else None)
    if not IS_010:
        register = worker.register_function

        def register_function(func, handler, **rest):
            if isinstance(func, str):
                return register(func, handler, **rest)
            about = dict(func)
            return register(about.pop("id"), handler, **about)

        worker.register_function = register_function
    harness.on_end(worker.shutdown)
    return worker


def create_stream(worker, name, stream):
    if IS_010:
        worker.create_stream(name, stream)
    else:
        from iii.helpers import create_stream as create

        create(worker, name, stream)


def call(worker, function_id, payload=None):
    return worker.trigger({"function_id": function_id, "payload": payload})


def code_of(error):
    """`(code, message)` of a failed invocation. 0.10 raises a plain Exception with the repr of the error body."""
    if IS_010:
        body = ast.literal_eval(str(error))
        return body["code"], body["message"]
    return error.code, error.message


def trigger_rows(worker):
    rows = call(worker, "engine::triggers::list", {"include_internal": True})["triggers"]
    return [row for row in rows if "function_id" in row]


def registered(worker, functions=(), triggers=()):
    """Registrations are never acknowledged, so this asks until the lists have them."""
    seen = {}

    def listed():
        functions_now = call(worker, "engine::functions::list", {"include_internal": True})["functions"]
        seen["functions"] = [row["function_id"] for row in functions_now]
        seen["triggers"] = [row["function_id"] for row in trigger_rows(worker)] if triggers else []
        return set(functions) <= set(seen["functions"]) and set(triggers) <= set(seen["triggers"])

    harness.until(lambda: f"{functions} and triggers calling {triggers} are listed; have {seen}", listed)
