# weir-config: auth_function=stream::auth
# weir-run: 0.10.0 0.25.0
"""product.md "Usage Example: Conditional Join": a false condition skips the handler, and the join goes on."""

from harness import Client, check, main, unique
from sdk import call, register_worker, registered


def script():
    iii = register_worker()
    said, asked = [], []

    def print(*words):  # noqa: A001 - so that the sample stays as it is
        said.append(list(words))

    def stream_auth(input):
        auth = input.get('headers', {}).get('authorization', '')
        return {'context': {'userId': 'user-from-token'} if auth.startswith('Bearer ') else {}}

    iii.register_function({'id': 'stream::auth'}, stream_auth)

    def require_context(input):
        asked.append(input["subscription_id"])
        return input.get('context', {}).get('userId') is not None

    iii.register_function({'id': 'conditions::requireContext'}, require_context)

    def on_join(input):
        print('User joined:', input.get('context', {}).get('userId'), input['stream_name'])
        return {}

    iii.register_function({'id': 'onJoin'}, on_join)
    iii.register_trigger({
        'type': 'stream:join',
        'function_id': 'onJoin',
        'config': {'condition_function_id': 'conditions::requireContext'},
    })
    registered(iii, ["stream::auth", "conditions::requireContext", "onJoin"], ["onJoin"])

    # Joins are decided before the sync, so a handler not called by then is never called.
    room = unique("room")
    stranger = Client("/")
    stranger.join("s-stranger", "chat", room)
    stranger.wait(1)
    check("condition false: the join goes on", stranger.events(), [["sync", None, []]])
    check("condition false: asked, and the handler is not called", [asked, said], [["s-stranger"], []])

    friend = Client("/", headers={"Authorization": "Bearer tok-5"})
    friend.join("s-friend", "chat", room)
    friend.wait(1)
    check("condition true: the handler is called", [asked, said], [
        ["s-stranger", "s-friend"], [["User joined:", "user-from-token", "chat"]],
    ])
    call(iii, "stream::set", {"stream_name": "chat", "group_id": room, "item_id": "m1", "data": {"id": "m1"}})
    for client in (stranger, friend):
        client.wait(2)
        check("both get the changes", client.events()[1], ["create", "m1", {"id": "m1"}])


main(script)
