// weir-run: core node
// The published stream clients, unmodified, over a real socket: `core` is @motiadev/stream-client 0.17.14-beta.196 with an
// adapter like the one of its node package, `node` is @motiadev/stream-client-node 0.17.6-beta.187 as it is.
// What the client shows must be what the store has: every timestamp that does not grow costs a change (protocol.md C.6).
import { isDeepStrictEqual } from 'node:util'
import { WebSocket } from 'ws'
import { STREAMS, WORKERS, check, holds, main, onEnd, show, unique, until } from './lib/harness.mjs'

const kind = process.argv[2]
const { registerWorker, TriggerAction } = await import('iii-sdk-0.22.1')

/** What @motiadev/stream-client asks of a socket. */
class SocketAdapter {
  constructor() {
    this.ws = new WebSocket(STREAMS)
  }
  send(message) {
    this.ws.send(message)
  }
  onMessage(callback) {
    this.ws.addEventListener('message', ({ data }) => callback(data.toString()))
  }
  onOpen(callback) {
    this.ws.addEventListener('open', callback)
  }
  onClose(callback) {
    this.ws.addEventListener('close', callback)
  }
  close() {
    this.ws.removeAllListeners()
    this.ws.close()
  }
  isOpen() {
    return this.ws.readyState === WebSocket.OPEN
  }
}

async function connect() {
  const stream =
    kind === 'node'
      ? new (await import('@motiadev/stream-client-node')).Stream(STREAMS)
      : new (await import('@motiadev/stream-client')).Stream(() => new SocketAdapter())
  onEnd(() => stream.close())
  return stream
}

await main(async () => {
  holds('weir-run argument', kind === 'core' || kind === 'node', kind)
  const worker = () => {
    const iii = registerWorker(WORKERS, { otel: { enabled: false } })
    onEnd(() => iii.shutdown())
    return iii
  }
  const iii = worker()
  const second = worker()
  const streamName = unique('dashboard')
  const at = (item_id, rest) => ({ stream_name: streamName, group_id: 'g', item_id, ...rest })
  const call = (function_id, payload) => iii.trigger({ function_id, payload })
  const emit = (by, function_id, payload) => by.trigger({ function_id, payload, action: TriggerAction.Void() })
  const stored = () => call('stream::list', { stream_name: streamName, group_id: 'g' })
  const byId = (list) => list.toSorted((a, b) => a.id.localeCompare(b.id))
  const settled = async (what, shown) => {
    const expected = byId(await stored())
    await until(
      () => `${what} shows ${show(expected)}; shows ${show(shown())}`,
      () => isDeepStrictEqual(byId(shown()), expected),
    )
    check(`${what} shows what is stored`, byId(shown()), expected)
  }

  await call('stream::set', at('i0', { data: { id: 'i0', n: -1 } }))
  const stream = await connect()
  const group = stream.subscribeGroup(streamName, 'g')
  const item = stream.subscribeItem(streamName, 'g', 'i3')
  const shown = () => group.getState()
  const itemStates = []
  item.addChangeListener((state) => itemStates.push(state))
  await until('the first sync', () => shown().length === 1 && itemStates.length === 1)
  check('the item subscription starts empty', itemStates, [null])

  for (let n = 0; n < 300; n += 1) {
    const id = `i${n % 5}`
    if (n % 3 === 2) emit(iii, 'stream::update', at(id, { ops: [{ type: 'set', path: 'n', value: n }, { type: 'set', path: 'id', value: id }] }))
    else emit(iii, 'stream::set', at(id, { data: { id, n } }))
  }
  check('300 updates are stored', byId(await stored()).map(({ n }) => n), [295, 296, 297, 298, 299])
  await settled('after 300 updates the group', shown)
  await until('the item', () => item.getState()?.n === 298)
  check('the item', item.getState(), { id: 'i3', n: 298 })
  // An item that exists is updated 60 times; every state passed by, none was dropped as stale.
  check('the item passed through all of its changes', itemStates.slice(1).map(({ n }) => n), Array.from({ length: 60 }, (_, k) => 5 * k + 3))

  for (let n = 0; n < 150; n += 1) {
    for (const by of [iii, second]) emit(by, 'stream::update', at(`i${n % 5}`, { ops: [{ type: 'increment', path: 'count', by: 1 }] }))
  }
  await until('both workers are done', async () => (await stored()).every(({ count }) => count === 60))
  await settled('after two workers at once the group', shown)

  const heard = []
  group.onEvent('blink', (data) => heard.push(['group', data]))
  item.onEvent('blink', (data) => heard.push(['item', data]))
  await call('stream::send', { stream_name: streamName, group_id: 'g', type: 'blink', data: 1 })
  await call('stream::send', { stream_name: streamName, group_id: 'g', id: 'i3', type: 'blink', data: 2 })
  await call('stream::send', { stream_name: streamName, group_id: 'g', type: 'blink', data: 3 })
  await until('the events', () => heard.some(([, data]) => data === 3))
  check('each listener hears each event once', heard.toSorted().map(String), ['group,1', 'group,2', 'group,3', 'item,2'])

  await call('stream::delete', at('i3'))
  await until('the deletion', () => shown().length === 4 && item.getState() === null)
  await settled('after a deletion the group', shown)
  await call('stream::set', at('i3', { data: { id: 'i3', n: 1000 } }))
  await until('the item is back', () => item.getState()?.n === 1000)
  await settled('after it is back the group', shown)

  // The client comes back by itself after 2 s and joins again with the same subscription ids.
  stream.ws.ws.terminate()
  await until('the socket is gone', () => !stream.ws.isOpen())
  await call('stream::delete', at('i0'))
  for (let n = 2000; n < 2100; n += 1) emit(iii, 'stream::set', at(`i${1 + (n % 5)}`, { data: { id: `i${1 + (n % 5)}`, n } }))
  await stored()
  check('it knows nothing of this yet', [item.getState().n, shown().some(({ id }) => id === 'i0')], [1000, true])
  await until('the client is back', () => stream.ws.isOpen())
  await settled('after it came back the group', shown)
  const { n } = (await stored()).find(({ id }) => id === 'i3')
  await until('the item', () => item.getState()?.n === n)
  await call('stream::set', at('i3', { data: { id: 'i3', n: 3000 } }))
  await until('the item follows again', () => item.getState()?.n === 3000)
  await settled('and follows', shown)

  const late = await connect()
  const sorted = late.subscribeGroup(streamName, 'g', 'id')
  await until('the late client', () => sorted.getState().length === shown().length)
  await settled('a late client', () => sorted.getState())
  group.close()
  const before = show(shown())
  await call('stream::set', at('i1', { data: { id: 'i1', n: 4000 } }))
  await settled('the late client after a change', () => sorted.getState())
  check('a closed subscription stays as it was', show(shown()), before)
})
