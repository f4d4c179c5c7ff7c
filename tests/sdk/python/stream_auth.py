# weir-config: auth_function=stream::auth
# weir-run: 0.10.0 0.25.0
"""product.md "Usage Example: Join with Auth Context".

`input.get('context', {})` of the sample gives None, and the sample throws, when the key is there with null. So a client
without a token is let in only if the payload has no `context` key then, as "not required" in product.md permits.
"""

from harness import Client, check, main, unique
from sdk import register_worker, registered


def script():
    iii = register_worker()
    said, joined = [], []

    def print(line):  # noqa: A001 - so that the sample stays as it is
        said.append(line)

    def stream_auth(input):
        auth = input.get('headers', {}).get('authorization', '')
        token = auth.replace('Bearer ', '', 1) if auth.startswith('Bearer ') else None
        if token:
            return {'context': {'userId': 'user-from-token'}}
        return {'context': None}

    iii.register_function({'id': 'stream::auth'}, stream_auth)

    def on_join(input):
        joined.append(input)
        context = input.get('context', {})
        if context.get('userId'):
            print(f"User {context['userId']} joined {input['stream_name']}/{input['group_id']}/{input.get('id', '')}")
        return {}

    iii.register_function({'id': 'onJoin'}, on_join)
    iii.register_trigger({'type': 'stream:join', 'function_id': 'onJoin', 'config': {}})
    registered(iii, ["stream::auth", "onJoin"], ["onJoin"])

    room = unique("room")
    friend = Client("/", headers={"Authorization": "Bearer tok-5"})
    friend.join("s-item", "chat", room, "item-1")
    friend.wait(1)
    check("the token gives the context", joined[0]["context"], {"userId": "user-from-token"})
    check("the sample greets", said, [f"User user-from-token joined chat/{room}/item-1"])

    # Python's client, like browsers, puts a space after the comma; the sample reads the header only.
    browser = Client("/", protocols=["Authorization", "tok-5"])
    check("the first offered protocol is answered", browser.socket.subprotocol, "Authorization")
    browser.join("s-browser", "chat", room)
    browser.wait(1)
    check("a client without the header is let in", browser.events(), [["sync", None, []]])
    check("and not greeted", [len(joined), len(said)], [2, 1])

    # The same for `input.get('id', '')`: a null would be greeted as "None".
    friend.join("s-group", "chat", room)
    friend.wait(2)
    check("without an item the sample's default stands", said[1], f"User user-from-token joined chat/{room}/")


main(script)
