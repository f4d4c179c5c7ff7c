// What every script needs: the server's addresses, checks that print what they checked, waits with a deadline,
// a subscriber that refuses a malformed or reordered frame, and an orderly end.
import assert from 'node:assert/strict'
import { WebSocket } from 'ws'

export const WORKERS = required('WEIR_WORKERS')
export const STREAMS = required('WEIR_STREAMS')

/** Names of this run only, so that a script can be run twice against one server. */
export const RUN = `${process.pid.toString(36)}${Date.now().toString(36)}`
export const unique = (name) => `${name}-${RUN}`

const WAIT_MS = 15_000
const SCRIPT_MS = 50_000
const EXIT_MS = 15_000
let checks = 0
const cleanups = []

function required(name) {
  const value = process.env[name]
  if (!value) {
    console.error(`${name} is not set; see tests/sdk/README.md`)
    process.exit(2)
  }
  return value.replace(/\/$/, '')
}

/** Deep equality: `undefined` and `null` differ, key order does not count. */
export function check(what, actual, expected) {
  assert.deepStrictEqual(actual, expected, `${what}\n  got      ${show(actual)}\n  expected ${show(expected)}`)
  checks += 1
  console.log(`ok ${what}`)
}

export function holds(what, condition, detail) {
  assert.ok(condition, `${what}${detail === undefined ? '' : `: ${show(detail)}`}`)
  checks += 1
  console.log(`ok ${what}`)
}

/** The error an invocation ends with; fails if it succeeds. SDK 0.9 rejects with a plain object. */
export async function rejection(what, promise) {
  let result
  try {
    result = await promise
  } catch (error) {
    return error
  }
  assert.fail(`${what} should have failed, but returned ${show(result)}`)
}

/** Waits until `probe` gives something truthy and returns it. */
export async function until(what, probe, ms = WAIT_MS) {
  const deadline = Date.now() + ms
  for (;;) {
    const value = await probe()
    if (value) return value
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${typeof what === 'function' ? what() : what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export function show(value) {
  const text = JSON.stringify(value, (_key, v) => (v === undefined ? '<undefined>' : v))
  return text === undefined ? '<undefined>' : text.length > 2_000 ? `${text.slice(0, 2_000)}…` : text
}

export function onEnd(cleanup) {
  cleanups.push(cleanup)
}

/** Runs the script. The process must then end by itself: an SDK that cannot leave is a failure too. */
export async function main(script) {
  const stuck = setTimeout(() => {
    console.error(`FAILED: still running after ${SCRIPT_MS} ms`)
    process.exit(1)
  }, SCRIPT_MS)
  stuck.unref()
  try {
    await script()
    for (const cleanup of cleanups.reverse()) await cleanup()
  } catch (error) {
    console.error('FAILED', error instanceof Error ? error.stack : show(error))
    process.exit(1)
  }
  clearTimeout(stuck)
  console.log(`passed, ${checks} checks`)
  setTimeout(() => {
    console.error(`FAILED: the process does not exit; alive: ${process.getActiveResourcesInfo().join(', ')}`)
    process.exit(1)
  }, EXIT_MS).unref()
}

const ENVELOPE = ['event', 'groupId', 'id', 'streamName', 'timestamp', 'type']

/** A WebSocket subscriber. It keeps every frame and checks the envelope and the order of timestamps (protocol.md C.3, C.6). */
export class Client {
  frames = []
  fault = undefined
  #last = new Map()

  constructor(path, protocols, options) {
    this.socket = new WebSocket(`${STREAMS}${path}`, protocols, options)
    this.socket.on('message', (data, isBinary) => this.#receive(data, isBinary))
    this.socket.on('error', (error) => {
      this.fault ??= error
    })
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }))
    })
    onEnd(() => this.close())
  }

  /** Connects to `path`, e.g. `/stream/presence/room-1/`, and waits for the open socket. */
  static async open(path, { protocols, headers } = {}) {
    const client = new Client(path, protocols, { headers })
    await until(`${path} is open`, () => client.#sound() && client.socket.readyState === WebSocket.OPEN)
    return client
  }

  send(message) {
    this.socket.send(JSON.stringify(message))
  }

  join(subscriptionId, streamName, groupId, id) {
    this.send({ type: 'join', data: { subscriptionId, streamName, groupId, ...(id === undefined ? {} : { id }) } })
  }

  leave(subscriptionId, streamName, groupId, id) {
    this.send({ type: 'leave', data: { subscriptionId, streamName, groupId, ...(id === undefined ? {} : { id }) } })
  }

  /** Waits until at least `count` frames are there and returns them all. */
  async wait(count, what = `${count} frames`) {
    await until(
      () => `${what}; have ${this.frames.length}: ${show(this.events().slice(-3))}`,
      () => this.#sound() && this.frames.length >= count,
    )
    return this.frames
  }

  /** Waits for the first frame that `matches`. */
  async find(what, matches) {
    return await until(
      () => `${what}; have ${show(this.events().slice(-5))}`,
      () => this.#sound() && this.frames.find(matches),
    )
  }

  /** What was said, without the timestamps: `[event type, item id, data]`. */
  events() {
    return this.frames.map(({ id, event }) => [event.type, id, event.type === 'event' ? event.event : event.data])
  }

  async close() {
    if (this.socket.readyState !== WebSocket.CLOSED) this.socket.close()
    return await this.closed
  }

  #sound() {
    if (this.fault) throw this.fault
    return true
  }

  #receive(data, isBinary) {
    try {
      assert.equal(isBinary, false, 'frames are text')
      const frame = JSON.parse(data.toString())
      assert.deepEqual(Object.keys(frame).sort(), ENVELOPE, `envelope of ${data}`)
      assert.equal(frame.type, 'stream')
      assert.ok(Number.isSafeInteger(frame.timestamp), `timestamp of ${data}`)
      assert.ok(frame.id === null || typeof frame.id === 'string', `id of ${data}`)
      const group = JSON.stringify([frame.streamName, frame.groupId])
      const last = this.#last.get(group)
      const sync = frame.event.type === 'sync'
      if (last !== undefined && frame.event.type !== 'unauthorized') {
        assert.ok(sync ? frame.timestamp >= last : frame.timestamp > last, `timestamp after ${last}: ${data}`)
      }
      this.#last.set(group, frame.timestamp)
      this.frames.push(frame)
    } catch (error) {
      this.fault ??= error
    }
  }
}
