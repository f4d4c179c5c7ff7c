# weir-run: 0.10.0 0.25.0
"""product.md "Usage Example: Real-Time Presence", word for word but for the address."""

from harness import WORKERS, Client, check, main
from sdk import TriggerAction, call, register_worker


def script():
    by_path = Client("/stream/presence/room-1/")
    by_join = Client("/")
    by_join.join("5f8a5c7e-0b35-4d5c-9f43-7c5a1f0e2b11", "presence", "room-1")
    by_path.wait(1)
    by_join.wait(1)

    iii = register_worker(WORKERS)

    iii.trigger({
        'function_id': 'stream::set',
        'payload': {
            'stream_name': 'presence',
            'group_id': 'room-1',
            'item_id': 'user-123',
            'data': {'name': 'Alice', 'online': True, 'lastSeen': '2026-01-01T00:00:00Z'},
        },
        'action': TriggerAction.Void(),
    })

    user = iii.trigger({
        'function_id': 'stream::get',
        'payload': {
            'stream_name': 'presence',
            'group_id': 'room-1',
            'item_id': 'user-123',
        },
    })

    room_members = iii.trigger({
        'function_id': 'stream::list',
        'payload': {
            'stream_name': 'presence',
            'group_id': 'room-1',
        },
    })

    iii.trigger({
        'function_id': 'stream::delete',
        'payload': {
            'stream_name': 'presence',
            'group_id': 'room-1',
            'item_id': 'user-123',
        },
        'action': TriggerAction.Void(),
    })

    alice = {'name': 'Alice', 'online': True, 'lastSeen': '2026-01-01T00:00:00Z'}
    check("get reads the void set before it", user, alice)
    check("list returns the items of the group", room_members, [alice])
    here = {'stream_name': 'presence', 'group_id': 'room-1', 'item_id': 'user-123'}
    check("get after the void delete finds nothing", call(iii, 'stream::get', here), None)
    for name, client in (("by path", by_path), ("by join", by_join)):
        client.wait(3)
        check(f"{name}: sync, create, delete in order", client.events(), [
            ["sync", None, []], ["create", "user-123", alice], ["delete", "user-123", alice],
        ])


main(script)
