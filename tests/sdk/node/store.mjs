// An adapter of your own: with `adapter: { class: my::store }` in its configuration, Weir keeps its items here, in memory.
import { registerWorker } from 'iii-sdk-0.22.1'

const streams = new Map() // stream > group > item > value; a Map keeps the order in which its keys came
const groupsOf = (stream) => streams.get(stream) ?? new Map()
const itemsOf = ({ stream_name, group_id }) => groupsOf(stream_name).get(group_id) ?? new Map()
const sorted = (names) => [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))

const store = {
  set({ stream_name, group_id, item_id, data }) {
    if (!streams.has(stream_name)) streams.set(stream_name, new Map())
    const groups = streams.get(stream_name)
    if (!groups.has(group_id)) groups.set(group_id, new Map())
    const items = groups.get(group_id)
    const old_value = items.get(item_id)
    items.set(item_id, data)
    return { old_value, new_value: data }
  },
  get: (input) => itemsOf(input).get(input.item_id),
  delete({ stream_name, group_id, item_id }) {
    const [groups, items] = [groupsOf(stream_name), itemsOf({ stream_name, group_id })]
    const old_value = items.get(item_id)
    items.delete(item_id)
    if (items.size === 0) groups.delete(group_id)
    if (groups.size === 0) streams.delete(stream_name)
    return { old_value }
  },
  list: (input) => [...itemsOf(input).values()],
  list_groups: ({ stream_name }) => sorted(groupsOf(stream_name).keys()),
  list_all() {
    const stream = sorted(streams.keys()).map((id) => ({ id, groups: sorted(groupsOf(id).keys()) }))
    return { stream, count: stream.length }
  },
}

const iii = registerWorker(process.env.WEIR_WORKERS ?? 'ws://localhost:49134')
for (const [name, serve] of Object.entries(store)) iii.registerFunction(`my::store::${name}`, async (input) => serve(input))
