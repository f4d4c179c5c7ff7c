# weir-config: auth_function=onAuth
# weir-run: 0.10.0 0.25.0
"""product.md "Authentication" and the join handler under "Trigger Types"."""

from harness import Client, check, holds, main, unique
from sdk import register_worker, registered


def script():
    iii = register_worker()
    asked, joined = [], []

    def on_auth(input):
        asked.append(input)
        return {'context': {'name': 'John Doe'}}

    iii.register_function({'id': 'onAuth'}, on_auth)

    def on_join(input):
        joined.append(input)
        print('Joined stream', input)
        return {}

    iii.register_function({'id': 'onJoin'}, on_join)
    iii.register_trigger({'type': 'stream:join', 'function_id': 'onJoin', 'config': {}})
    registered(iii, ["onAuth", "onJoin"], ["onJoin"])

    room = unique("room")
    client = Client(f"/stream/chat/{room}/?token=a&token=b", headers={"X-Custom": "Yes"})
    client.wait(1)
    check("the client is in", client.events(), [["sync", None, []]])
    check("the auth input", sorted(asked[0]), ["addr", "headers", "path", "query_params"])
    check("path and query", [asked[0]["path"], asked[0]["query_params"]], [f"/stream/chat/{room}/", {"token": ["a", "b"]}])
    check("headers have lower-case names", asked[0]["headers"]["x-custom"], "Yes")
    holds("addr", "127.0.0.1" in asked[0]["addr"], asked[0]["addr"])
    check("one join, with the context", [[j["stream_name"], j["group_id"], j.get("id"), j["context"]] for j in joined], [
        ["chat", room, None, {"name": "John Doe"}],
    ])
    holds("and a subscription id", isinstance(joined[0]["subscription_id"], str), joined[0])


main(script)
