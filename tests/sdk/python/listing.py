# weir-run: 0.10.0
"""list_functions, list_workers, list_triggers and on_functions_available, which later versions do not have (protocol.md A.15).

The SDK decodes each row strictly: one row of engine::triggers::list without `trigger_type`, `function_id` or `config`
makes list_triggers raise.
"""

import os

from harness import check, holds, main, unique, until
from sdk import VERSION, register_worker, registered


def script():
    name, total = unique("pricing"), unique("orders::total")
    iii = register_worker(worker_name=name)
    iii.register_function({"id": total, "description": "sum", "metadata": {"team": "billing"}}, lambda input: 1)
    iii.register_trigger({"type": "stream", "function_id": total, "config": {"stream_name": name}})
    registered(iii, [total], [total])

    functions = {f.function_id: f for f in iii.list_functions()}
    check("a function", [functions[total].description, functions[total].metadata], ["sum", {"team": "billing"}])
    check("engine functions are hidden", [id for id in functions if id.startswith("engine::")], [])
    worker = until("the worker described itself", lambda: next((w for w in iii.list_workers() if w.name == name), None))
    check("the worker", [worker.runtime, worker.version], ["python", VERSION])
    holds("its functions", total in worker.functions and worker.function_count >= 1, worker)
    holds("its status", worker.status in ("connected", "available", "busy"), worker.status)
    triggers = [t for t in iii.list_triggers(include_internal=True) if t.function_id == total]
    check("the trigger", [[t.trigger_type, t.config] for t in triggers], [["stream", {"stream_name": name}]])

    seen = []
    forget = iii.on_functions_available(lambda now: seen.append([f.function_id for f in now]))
    other = register_worker(worker_name=unique("second"))
    extra = unique("orders::extra")
    other.register_function({"id": extra}, lambda input: os.getpid())
    until("functions-available tells of the new function", lambda: any(extra in now for now in seen))
    forget()


main(script)
