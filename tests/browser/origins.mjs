// weir-run: 0.22.1
// Which pages a browser lets connect, and which the server does: those from where they connect to, as in the README's tour, and no others.
import { STREAMS, WORKERS, check, holds } from '../sdk/node/lib/harness.mjs'
import { call, registerWorker } from '../sdk/node/lib/sdk.mjs'
import { ADMIN, browse, lists } from './lib/browser.mjs'
import { serve } from './lib/site.mjs'

await browse(async (open) => {
  const iii = registerWorker(WORKERS, { otel: { enabled: false } })
  const alice = { stream_name: 'presence', group_id: 'room-1', item_id: 'alice' }
  const here = STREAMS.replace('ws:', 'http:')

  // The first client of the tour: a page of the stream port, and what one types into its console.
  const page = await open(`${here}/stream`, { name: 'the tour', expected: [/status of 404/] })
  await page.evaluate((address) => {
    document.body.replaceChildren()
    const ws = new WebSocket(`${address}/stream/presence/room-1/`)
    ws.onmessage = (message) => document.body.append(Object.assign(document.createElement('p'), { textContent: message.data }))
  }, STREAMS)
  const frames = page.locator('p')
  await frames.first().waitFor()
  await call(iii, 'stream::set', { ...alice, data: { id: 'alice', online: true } })
  await frames.nth(1).waitFor()
  const events = (await frames.allTextContents()).map((text) => JSON.parse(text).event)
  check('it prints the state, and the change', events, [{ type: 'sync', data: [] }, { type: 'create', data: { id: 'alice', online: true } }])

  // A page of another origin, where no `allowed_origins` lists it.
  const site = await serve('<ul></ul>', `
    const ws = new WebSocket(new URLSearchParams(location.hash.slice(1)).get('address'))
    for (const type of ['open', 'message', 'error', 'close']) ws.addEventListener(type, () => document.querySelector('ul').append(Object.assign(document.createElement('li'), { textContent: type })))`)
  const address = `${STREAMS}/stream/presence/room-1/`
  const stranger = await open(`${site}#${new URLSearchParams({ address })}`, {
    name: 'another origin',
    origins: [STREAMS, ADMIN],
    expected: [/Unexpected response code: 403/, /blocked by CORS policy/, /net::ERR_FAILED/],
  })
  await lists(stranger.locator('li'), ['error', 'close'], 'a page of another origin gets no socket')

  // Nor does it read what the ports answer.
  for (const url of [`${here}/health/ready`, `${ADMIN}/metrics`, `${ADMIN}/api/overview`]) {
    const read = await stranger.evaluate((url) => fetch(url).then((answer) => answer.text(), () => null), url)
    holds(`a page of another origin does not read ${new URL(url).pathname}`, read === null, read)
  }
})
