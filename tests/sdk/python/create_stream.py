# weir-run: 0.10.0 0.25.0
"""create_stream: five functions of a worker take the place of the adapter (protocol.md B.6)."""

from iii.stream import IStream

from harness import Client, check, main, unique, until
from sdk import IS_010, call, create_stream, register_worker, registered

if IS_010:
    from iii.stream import StreamDeleteResult, StreamSetResult
else:
    from iii_helpers.stream import StreamDeleteResult, StreamSetResult


class Seats(IStream):
    def __init__(self):
        self.rooms = {"row-9": {"9A": {"id": "9A"}}}

    async def get(self, input):
        return self.rooms.get(input.group_id, {}).get(input.item_id)

    async def set(self, input):
        old = self.rooms.setdefault(input.group_id, {}).get(input.item_id)
        self.rooms[input.group_id][input.item_id] = input.data
        return StreamSetResult(old_value=old, new_value=input.data)

    async def delete(self, input):
        return StreamDeleteResult(old_value=self.rooms.get(input.group_id, {}).pop(input.item_id, None))

    async def list(self, input):
        return list(self.rooms.get(input.group_id, {}).values())

    async def list_groups(self, input):
        return list(self.rooms)

    async def update(self, input):
        raise NotImplementedError("no SDK registers this")


def script():
    name = unique("seats")
    iii, provider = register_worker(), register_worker()
    seats = Seats()
    create_stream(provider, name, seats)
    registered(iii, [f"stream::{op}({name})" for op in ("get", "set", "delete", "list", "list_groups")])

    client = Client(f"/stream/{name}/row-9/")
    client.wait(1)
    check("the snapshot comes from the override", client.events(), [["sync", None, [{"id": "9A"}]]])

    def at(**rest):
        return {"stream_name": name, "group_id": "row-9", "item_id": "9C", **rest}

    check("set", call(iii, "stream::set", at(data={"id": "9C"})), {"old_value": None, "new_value": {"id": "9C"}})
    check("stored there", seats.rooms["row-9"]["9C"], {"id": "9C"})
    check("get", call(iii, "stream::get", at()), {"id": "9C"})
    check("get: nothing", call(iii, "stream::get", {**at(), "item_id": "1A"}), None)
    check("list", call(iii, "stream::list", {"stream_name": name, "group_id": "row-9"}), [{"id": "9A"}, {"id": "9C"}])
    check("list_groups", call(iii, "stream::list_groups", {"stream_name": name}), ["row-9"])
    check("update goes through get and set", call(iii, "stream::update", at(ops=[{"type": "increment", "path": "n", "by": 2}])), {
        "old_value": {"id": "9C"}, "new_value": {"id": "9C", "n": 2},
    })
    check("and is stored there", seats.rooms["row-9"]["9C"], {"id": "9C", "n": 2})
    check("delete", call(iii, "stream::delete", at()), {"old_value": {"id": "9C", "n": 2}})
    check("delete: nothing", call(iii, "stream::delete", at()), {"old_value": None})
    call(iii, "stream::set", {**at(data={"id": "9Z"}), "item_id": "9Z"})
    client.wait(5)
    check("subscribers see the changes", client.events()[1:], [
        ["create", "9C", {"id": "9C"}],
        ["update", "9C", {"id": "9C", "n": 2}],
        ["delete", "9C", {"id": "9C", "n": 2}],
        ["create", "9Z", {"id": "9Z"}],
    ])
    functions = [f"stream::list({name})"]
    check("listed", [f["function_id"] for f in call(iii, "engine::functions::list", {})["functions"] if f["function_id"] in functions], functions)
    until("the changes", lambda: len(client.frames) == 5)


main(script)
