// weir-config: outbox_bytes=100000 auth_function=auth
// weir-run: 0.22.1
// The console's sessions: who is connected, to what, and why one of them did not get its update.
import { createConnection } from 'node:net'
import { Client, STREAMS, WORKERS, check, holds, onEnd, until } from '../sdk/node/lib/harness.mjs'
import { call, registerWorker, registered } from '../sdk/node/lib/sdk.mjs'
import { browse, lists, reads, screenshot, textOf, textsOf } from './lib/browser.mjs'
import { openConsole, submit, valueOf } from './lib/console.mjs'

/** A client that subscribes and then reads nothing more. */
async function stalled(path) {
  const { hostname, port } = new URL(STREAMS)
  const socket = createConnection({ host: hostname, port: Number(port) })
  onEnd(() => socket.destroy())
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`)
  await new Promise((resolve) => socket.once('data', resolve))
  socket.pause()
  return `${socket.localAddress}:${socket.localPort}`
}

await browse(async (open) => {
  const iii = registerWorker(WORKERS, { otel: { enabled: false } })
  iii.registerFunction({ id: 'auth' }, ({ query_params }) => ({ context: query_params.user ? { user: query_params.user[0] } : null }))
  let admit
  const asked = new Promise((resolve) => { admit = resolve })
  iii.registerFunction({ id: 'onJoin' }, async ({ group_id }) => { if (group_id === 'held') await asked; return {} })
  iii.registerTrigger({ type: 'stream:join', function_id: 'onJoin', config: {} })
  await registered(iii, { functions: ['auth', 'onJoin'], triggers: ['onJoin'] })
  const set = (stream_name, data) => call(iii, 'stream::set', { stream_name, group_id: 'room-1', item_id: 'i', data })
  await set('presence', { id: 'i', n: 0 })

  const alice = await Client.open('/stream/presence/room-1/?user=alice')
  alice.join('sub-of-alice', 'presence', 'room-2', 'bob')
  const bob = await Client.open('/?user=bob')
  await alice.wait(2)
  const addressOf = ({ socket }) => `${socket._socket.localAddress}:${socket._socket.localPort}`

  const page = await openConsole(open, 'sessions')
  const rows = page.locator('#sessions-rows [data-row]')
  const search = page.locator('#sessions-search')
  const note = page.locator('#view-sessions [role="status"].note')
  await reads(note, '2 sessions', 'how many there are')
  await lists(rows.locator('td.name'), [addressOf(alice), addressOf(bob)], 'their addresses')
  await lists(rows.locator('td.mark'), ['up to date', 'no subscription'], 'what an operator asks of them')
  const subscriptions = (await textsOf(rows.locator('td.text'))).map((text) => text.split(', ').sort())
  check('their subscriptions', subscriptions, [['presence › room-1', 'presence › room-2 › bob'], ['']])
  for (const [what, text] of Object.entries({ 'a context': 'ALICE', 'a group': 'room-2', 'a subscription': 'sub-of-a', 'an address': addressOf(alice) })) {
    await search.fill(text)
    await lists(rows.locator('td.name'), [addressOf(alice)], `searched for by ${what}`)
  }
  await search.fill('nobody')
  await reads(page.locator('#sessions-empty'), /^No session matches\. A client that is not here is not connected to this node/, 'nothing found')
  await search.fill('')
  await reads(note, '2 sessions', 'all of them again')

  // One of them.
  await rows.first().click()
  const detail = page.locator('#sessions-detail')
  await reads(page.locator('#verdict'), /^up to date Nothing waits/, 'the verdict')
  check('its context', await valueOf(detail.locator('pre').first()), { user: 'alice' })
  const cards = detail.locator('[data-subscription]')
  check('its subscriptions', await cards.count(), 2)
  const card = detail.locator('[data-subscription="sub-of-alice"]')
  holds('one of a group without items says so', (await textOf(card)).includes('This group holds no items.'), await textOf(card))
  await screenshot(page, 'session')

  // Why did this client not get its update? Its join is still being asked about.
  bob.join('sub-of-bob', 'presence', 'held')
  await lists(rows.locator('td.mark'), ['up to date', 'joining'], 'a join that is being asked about')
  admit()
  await lists(rows.locator('td.mark'), ['up to date', 'up to date'], 'a join that was admitted')

  // Or it does not read.
  const address = await stalled('/stream/presence/room-1/?user=slow')
  const padding = 'x'.repeat(500_000)
  let n = 0
  await until('a client that lags', async () => {
    n += 1
    await set('presence', { id: 'i', n, padding })
    return (await rows.locator('td.mark').allInnerTexts()).includes('lagging')
  })
  await lists(rows.locator('td.name').first(), [address], 'who lags comes first')
  await reads(note, '3 sessions, 1 lagging', 'how many there are')
  await rows.first().click()
  await reads(page.locator('#verdict'), /^lagging It reads too slowly: [\d.]+ [KM]iB wait\. It is left out of changes/, 'the verdict')
  await screenshot(page, 'lagging')
  const resyncs = await textOf(detail.locator('dt:text-is("Resyncs") + dd'))
  holds('how often it fell behind', /^\d+: so often it fell behind/.test(resyncs), resyncs)
  await detail.getByTitle('Watch it live').click()
  await reads(page.locator('#group-name'), 'presence › room-1', 'its group')
  await reads(page.locator('#subscribers'), '2 subscribers, 1 lagging', 'its subscribers')
  await page.goBack()

  // It is closed from here.
  await detail.locator('[data-action="disconnect"]').click()
  await submit(page)
  check('one was closed', await valueOf(page.locator('#call-value')), { count: 1 })
  await page.goBack()
  await reads(detail.locator('.notice'), /^It is not listed: it has closed/, 'it is gone')
  await page.locator('#sessions-detail [data-action="close"]').click()
  await reads(note, '2 sessions', 'the others stay')
})
