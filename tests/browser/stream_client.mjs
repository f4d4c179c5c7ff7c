// weir-config: auth_function=stream::auth allowed_origins=*
// weir-run: 0.22.1
// A page with the published browser client, @motiadev/stream-client-browser 0.17.14-beta.196, unmodified: its token goes into
// Sec-WebSocket-Protocol, as browsers have no other header for it, and the page shows items as they change.
import { STREAMS, WORKERS, check, holds, unique, until } from '../sdk/node/lib/harness.mjs'
import { call, registerWorker, registered } from '../sdk/node/lib/sdk.mjs'
import { browse, lists, reads, screenshot } from './lib/browser.mjs'
import { serve } from './lib/site.mjs'

const TOKEN = 'tok-5.a_b-c~d'

// What an application does. `socket` is the one of this moment: the client makes a new one when it connects again.
const PAGE = `
  import { Stream } from '@motiadev/stream-client-browser'
  const { address, token, stream, group } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)))
  const client = new Stream(address, token && { protocols: ['Authorization', token] })
  const write = (id, text) => document.getElementById(id).append(Object.assign(document.createElement('li'), { textContent: text }))
  client.ws.ws.addEventListener('close', ({ code }) => write('closes', code))
  client.ws.ws.addEventListener('open', ({ target }) => write('protocols', target.protocol || 'none'))
  const items = client.subscribeGroup(stream, group, 'id')
  items.addChangeListener((state) => {
    document.getElementById('items').replaceChildren()
    for (const item of state) write('items', JSON.stringify(item))
  })
  items.onEvent('typing', ({ who }) => write('events', who))
  const alice = client.subscribeItem(stream, group, 'alice')
  alice.addChangeListener((item) => { document.getElementById('alice').textContent = item ? item.seen : 'gone' })`
const BODY = '<h1>Room</h1><ul id="items"></ul><p id="alice"></p><ul id="events"></ul><ul id="protocols"></ul><ul id="closes"></ul>'

await browse(async (open) => {
  const iii = registerWorker(WORKERS, { otel: { enabled: false } })
  const stream = unique('presence')
  const asked = []
  const joins = []
  iii.registerFunction({ id: 'stream::auth' }, (input) => {
    asked.push(input)
    const [name, token] = (input.headers['sec-websocket-protocol'] ?? '').split(',').map((part) => part.trim())
    return name === 'Authorization' && token === TOKEN ? { context: { userId: 'alice' } } : { unauthorized: true }
  })
  iii.registerFunction({ id: 'onJoin' }, (input) => { joins.push(input); return {} })
  iii.registerTrigger({ type: 'stream:join', function_id: 'onJoin', config: {} })
  await registered(iii, { functions: ['stream::auth', 'onJoin'], triggers: ['onJoin'] })

  const at = (item_id, rest) => ({ stream_name: stream, group_id: 'room 1', item_id, ...rest })
  const set = (id, rest) => call(iii, 'stream::set', at(id, { data: { id, ...rest } }))
  await set('alice', { seen: 0 })

  const site = await serve(BODY, PAGE)
  const visit = (name, token) =>
    open(`${site}#${new URLSearchParams({ address: STREAMS, token, stream, group: 'room 1' })}`, { name, origins: [STREAMS] })

  const page = await visit('alice', TOKEN)
  const items = page.locator('#items li')
  await lists(items, ['{"id":"alice","seen":0}'], 'the page shows what is there')
  await lists(page.locator('#protocols li'), ['Authorization'], 'the protocol that the server has chosen is not the token')
  check('asked once', asked.length, 1)
  check('the auth function sees the token as the browser sent it', asked[0].headers['sec-websocket-protocol'], `Authorization, ${TOKEN}`)
  check('and where the page is from', `${asked[0].headers.origin}/`, site)
  holds('which is not where it connects to', new URL(site).host !== asked[0].headers.host, asked[0].headers)
  await until('both joins', () => joins.length === 2)
  check('both joins have the context', joins.map(({ id, context }) => [id ?? null, context]), [[null, { userId: 'alice' }], ['alice', { userId: 'alice' }]])

  await set('bob', { seen: 1 })
  await lists(items, ['{"id":"alice","seen":0}', '{"id":"bob","seen":1}'], 'the page shows what is created')
  for (let n = 1; n <= 50; n += 1) await call(iii, 'stream::update', at('alice', { ops: [{ type: 'increment', path: 'seen', by: 1 }] }))
  await lists(items, ['{"id":"alice","seen":50}', '{"id":"bob","seen":1}'], 'the page shows what is updated')
  await reads(page.locator('#alice'), '50', 'a single item')
  await call(iii, 'stream::send', { stream_name: stream, group_id: 'room 1', type: 'typing', data: { who: 'bob' } })
  await lists(page.locator('#events li'), ['bob'], 'the page shows an event, once')
  await screenshot(page, 'live')
  await call(iii, 'stream::delete', at('bob'))
  await lists(items, ['{"id":"alice","seen":50}'], 'the page shows what is deleted')

  // Those whom the auth function refuses learn nothing, and the others go on.
  const wrong = await visit('a wrong token', 'tok-6')
  await lists(wrong.locator('#closes li'), ['4401'], 'a wrong token: the socket is closed')
  const none = await visit('no token', '')
  await lists(none.locator('#closes li'), ['4401'], 'no token: the socket is closed')
  holds('no token, no protocol', asked.some(({ headers }) => !('sec-websocket-protocol' in headers)))
  check('nobody else has joined', joins.length, 2)

  // The client comes back by itself, with the same token, and learns what it has missed.
  await call(iii, 'stream::disconnect', { context: { field: 'userId', value: 'alice' } })
  await lists(page.locator('#closes li'), ['4403'], 'the socket is closed')
  await set('carol', { seen: 2 })
  await lists(items, ['{"id":"alice","seen":50}', '{"id":"carol","seen":2}'], 'the page is back by itself')
  await until('both joins again', () => joins.length === 4)
  check('with the same token', asked.filter(({ headers }) => headers['sec-websocket-protocol']?.endsWith(TOKEN)).length, 2)
  await call(iii, 'stream::delete', at('alice'))
  await lists(items, ['{"id":"carol","seen":2}'], 'and live')
  await reads(page.locator('#alice'), 'gone', 'the single item')
  for (const [name, refused] of Object.entries({ wrong, none })) check(`${name}: shows nothing`, await refused.locator('#items li').count(), 0)
})
