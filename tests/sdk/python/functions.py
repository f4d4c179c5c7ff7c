# weir-run: 0.10.0 0.25.0
"""The eight functions with the exact results of protocol.md B.1 and B.5, and errors as the caller sees them (A.9)."""

from harness import Client, check, holds, main, rejection, unique
from sdk import IS_010, TriggerAction, call, code_of, register_worker, registered


def script():
    iii = register_worker()
    name = unique("seats")

    def at(item, **rest):
        return {"stream_name": name, "group_id": "row-9", "item_id": item, **rest}

    def update(item, *ops):
        return call(iii, "stream::update", at(item, ops=list(ops)))

    seat = {"id": "9C", "held": True}
    check("set: new", call(iii, "stream::set", at("9C", data=seat)), {"old_value": None, "new_value": seat})
    check("set: again", call(iii, "stream::set", at("9C", data={"id": "9C"})), {"old_value": seat, "new_value": {"id": "9C"}})
    check("get: hit", call(iii, "stream::get", at("9C")), {"id": "9C"})
    check("get: miss", call(iii, "stream::get", at("1A")), None)
    check("set: null", call(iii, "stream::set", at("none", data=None)), {"old_value": None, "new_value": None})
    check("list has the null", call(iii, "stream::list", {"stream_name": name, "group_id": "row-9"}), [{"id": "9C"}, None])
    check("delete: null", call(iii, "stream::delete", at("none")), {"old_value": None})
    for value in [0, -7.25, "", "ü😀", True, [], [1, [None]], 2**53 + 1, -(2**63), 2**64 - 1, {"a.b": {"c": "\u0000\\\""}}]:
        call(iii, "stream::set", at("any", data=value))
        check(f"a value comes back as it went: {value!r}", call(iii, "stream::get", at("any")), value)
    check("delete: hit", call(iii, "stream::delete", at("any")), {"old_value": {"a.b": {"c": "\u0000\\\""}}})
    check("delete: miss", call(iii, "stream::delete", at("any")), {"old_value": None})
    check("list: unknown group", call(iii, "stream::list", {"stream_name": name, "group_id": "none"}), [])
    check("list_groups", call(iii, "stream::list_groups", {"stream_name": name}), ["row-9"])
    check("list_groups: unknown", call(iii, "stream::list_groups", {"stream_name": unique("none")}), [])
    every = call(iii, "stream::list_all", {})
    check("list_all: keys and count", [sorted(every), every["count"]], [["count", "stream"], len(every["stream"])])
    check("list_all: ours", [s for s in every["stream"] if s["id"] == name], [{"id": name, "groups": ["row-9"]}])
    # All of None is left out by this SDK: the frame has no `data` key.
    check("list_all: no payload", call(iii, "stream::list_all")["count"], every["count"])

    client = Client(f"/stream/{name}/row-9/")
    client.wait(1)
    blink = {"stream_name": name, "group_id": "row-9", "type": "blink", "data": {"ms": 300}}
    check("send", call(iii, "stream::send", blink), None)
    check("send with an id", call(iii, "stream::send", {**blink, "id": "9C"}), None)
    client.wait(3)
    told = {"type": "blink", "data": {"ms": 300}}
    check("send reaches the group", client.events(), [["sync", None, [{"id": "9C"}]], ["event", None, told], ["event", "9C", told]])

    check("update", update(
        "9C",
        {"type": "increment", "path": "views", "by": 2},
        {"type": "decrement", "path": "left", "by": 3},
        {"type": "set", "path": "held", "value": False},
        {"type": "remove", "path": "missing"},
    ), {"old_value": {"id": "9C"}, "new_value": {"id": "9C", "views": 2, "left": -3, "held": False}})
    check("update: merge at the root", update("9C", {"type": "merge", "path": "", "value": {"left": 0}})["new_value"], {
        "id": "9C", "views": 2, "left": 0, "held": False,
    })
    check("update: merge with path None is the root", update("9C", {"type": "merge", "path": None, "value": {"views": 3}})["new_value"]["views"], 3)
    check("update: merge with segments", update(
        "new", {"type": "merge", "path": ["sessions", "abc"], "value": {"ts": 1}},
    ), {"old_value": None, "new_value": {"sessions": {"abc": {"ts": 1}}}})
    check("update: append", update(
        "new",
        {"type": "append", "path": "log", "value": 1},
        {"type": "append", "path": "log", "value": 2},
        {"type": "append", "path": "text", "value": "Hel"},
        {"type": "append", "path": "text", "value": "lo"},
    )["new_value"], {"sessions": {"abc": {"ts": 1}}, "log": [1, 2], "text": "Hello"})
    failed = update("new", {"type": "increment", "path": "text", "by": 1}, {"type": "set", "path": "still", "value": True})
    check("update: errors", [[e["op_index"], e["code"]] for e in failed["errors"]], [[0, "increment.not_number"]])
    check("update: the others apply", failed["new_value"]["still"], True)

    missing = unique("no::such")
    code, message = code_of(rejection("unknown", call, iii, missing, {}))
    holds("unknown function", code == "function_not_found" and missing in message, (code, message))
    for function_id, payload in [
        ("stream::set", at("i")),
        ("stream::set", {**at("i"), "stream_name": 5, "data": 1}),
        ("stream::get", None),
        ("stream::get", {"stream_name": name}),
        ("stream::list", {}),
        ("stream::send", {"stream_name": name, "group_id": "g", "data": 1}),
        ("stream::update", at("i")),
    ]:
        code, message = code_of(rejection(function_id, call, iii, function_id, payload))
        holds(f"{function_id} of {payload}", code == "deserialization_error" and function_id in message, (code, message))

    def throws(_input):
        raise ValueError("boom")

    iii.register_function({"id": unique("throws")}, throws)
    iii.register_function({"id": unique("echo")}, lambda input: input)
    registered(iii, [unique("throws"), unique("echo")])
    error = rejection("throws", call, iii, unique("throws"), {})
    check("a handler that throws", list(code_of(error)), ["invocation_failed", "boom"])
    if not IS_010:
        holds("with the stacktrace of the callee", "ValueError" in error.stacktrace, error.stacktrace)
    check("echo", call(iii, unique("echo"), {"a": [1, None, "ü"]}), {"a": [1, None, "ü"]})
    check("echo of nothing", call(iii, unique("echo")), None)
    iii.trigger({"function_id": missing, "payload": {}, "action": TriggerAction.Void()})
    check("a void call of an unknown function disturbs nothing", call(iii, unique("echo"), 1), 1)


main(script)
