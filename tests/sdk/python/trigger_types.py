# weir-run: 0.10.0 0.25.0
"""Trigger types of a worker, bound before and after they exist, and `stream` triggers with filters (protocol.md A.7, D)."""

from iii.triggers import TriggerHandler

from harness import check, main, unique, until
from sdk import IS_010, call, register_worker, registered, trigger_rows


class Provider(TriggerHandler):
    def __init__(self):
        self.bound, self.unbound = [], []

    async def register_trigger(self, config):
        self.bound.append(config)
        if config.config["path"] == "/taken":
            raise ValueError("path taken")

    async def unregister_trigger(self, config):
        self.unbound.append(config.id)


def script():
    consumer, worker = register_worker(), register_worker()
    kind, run = unique("webhook"), unique("hooks::run")
    consumer.register_function({"id": run}, lambda input: {"done": input["n"]})

    def rows():
        return [row for row in trigger_rows(consumer) if row["function_id"] == run and row["trigger_type"] == kind]

    consumer.register_trigger({"type": kind, "function_id": run, "config": {"path": "/early", "note": None}})
    registered(consumer, [run], [run])
    provider = Provider()
    worker.register_trigger_type({"id": kind, "description": "calls back"}, provider)
    until("the early binding", lambda: provider.bound)
    check("bound before the type existed", [provider.bound[0].function_id, provider.bound[0].config], [run, {"path": "/early", "note": None}])
    check("listed with its id", [row["id"] for row in rows()], [provider.bound[0].id])

    late = consumer.register_trigger({"type": kind, "function_id": run, "config": {"path": "/late"}})
    until("the late binding", lambda: len(provider.bound) >= 2)
    check("bound once each", [b.config["path"] for b in provider.bound], ["/early", "/late"])
    check("the provider fires what is bound", call(worker, provider.bound[1].function_id, {"n": 1}), {"done": 1})
    consumer.register_trigger({"type": kind, "function_id": run, "config": {"path": "/taken"}})
    until("the rejected binding is delivered", lambda: len(provider.bound) >= 3)
    until("and removed", lambda: len(rows()) == 2)
    late.unregister()
    until("the unbound one is gone", lambda: len(rows()) == 1)
    if not IS_010:
        until("the provider hears of it", lambda: provider.unbound == [provider.bound[1].id])

    name, fired = unique("orders"), []
    consumer.register_function({"id": unique("when")}, lambda input: input["event"]["data"]["n"] != 2)
    consumer.register_function({"id": unique("on")}, lambda input: fired.append(input))
    consumer.register_trigger({
        "type": "stream",
        "function_id": unique("on"),
        "config": {"stream_name": name, "group_id": "eu", "item_id": None, "condition_function_id": unique("when")},
    })
    registered(consumer, [unique("when"), unique("on")], [unique("on")])
    for group, n in [("us", 1), ("eu", 2), ("eu", 3), ("eu", 4)]:
        call(consumer, "stream::set", {"stream_name": name, "group_id": group, "item_id": "o", "data": {"n": n}})
    until("the last change", lambda: any(f["event"]["data"]["n"] == 4 for f in fired))
    check("only this group, not what the condition refuses, in order", [[f["groupId"], f["event"]] for f in fired], [
        ["eu", {"type": "update", "data": {"n": 3}}], ["eu", {"type": "update", "data": {"n": 4}}],
    ])


main(script)
