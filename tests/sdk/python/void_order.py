# weir-run: 0.10.0 0.25.0
"""500 void sets of one item: all are seen in order by a group and an item subscriber, and the last one stays."""

from harness import Client, check, main, unique
from sdk import TriggerAction, call, register_worker

COUNT = 500


def script():
    name = unique("ticker")
    group, item = Client(f"/stream/{name}/g/"), Client("/")
    item.join("s-item", name, "g", "i")
    group.wait(1)
    item.wait(1)
    iii = register_worker()
    here = {"stream_name": name, "group_id": "g", "item_id": "i"}
    for n in range(COUNT):
        iii.trigger({
            "function_id": "stream::set",
            "payload": {**here, "data": {"id": "i", "n": n}},
            "action": TriggerAction.Void(),
        })
    check("the last one stays", call(iii, "stream::get", here), {"id": "i", "n": COUNT - 1})
    changes = [["update" if n else "create", "i", {"id": "i", "n": n}] for n in range(COUNT)]
    for who, client in (("group", group), ("item", item)):
        client.wait(COUNT + 1)
        check(f"the {who} subscriber saw all, in order", client.events()[1:], changes)


main(script)
