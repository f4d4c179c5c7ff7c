// Once through all that the console shows, for the scripts that look at how it does: with long names, and with something open in each view.
import { Client, WORKERS } from '../../sdk/node/lib/harness.mjs'
import { call, registerWorker, registered } from '../../sdk/node/lib/sdk.mjs'
import { reads } from './browser.mjs'
import { callFunction, goTo, visit } from './console.mjs'

const WORD = 'unbroken'.repeat(60)
/** The group that there is. */
export const GROUP = { stream_name: 'presence', group_id: WORD }
const ITEMS = 30
const item = (n, data) => ({ ...GROUP, item_id: `${n}${WORD}`, data })

/** Makes a group, and a worker and a client that have to do with it. Answers with a function that changes its first item. */
export async function populate() {
  const iii = registerWorker(WORKERS, { workerName: WORD, otel: { enabled: false } })
  iii.registerFunction({ id: WORD }, () => ({}))
  iii.registerTrigger({ type: 'stream', function_id: WORD, config: GROUP })
  await registered(iii, { functions: [WORD], triggers: [WORD] })
  for (let n = 0; n < ITEMS; n += 1) await call(iii, 'stream::set', item(n, { id: n, text: WORD }))
  const client = await Client.open(`/stream/${GROUP.stream_name}/${WORD}/`)
  await client.wait(1)
  return (data) => call(iii, 'stream::set', item(0, data))
}

/** Opens the group. */
export async function visitGroup(page) {
  await visit(page, `streams/${GROUP.stream_name}/${WORD}`)
  await page.locator('#items [data-row]').nth(ITEMS - 1).waitFor()
}

/** Goes through everything, and has it looked at. */
export async function tour(page, look) {
  await reads(page.locator('[data-gauge="workers"]'), '1', 'the overview')
  await look('overview')
  await goTo(page, 'streams')
  await page.locator('#tree [aria-level="1"]').waitFor()
  await look('streams')
  await visitGroup(page)
  await look('group')
  await page.locator('#items [data-row]').first().click()
  await page.locator('#value-json').waitFor()
  await look('item')
  for (const view of ['sessions', 'workers']) {
    await visit(page, view)
    await page.locator(`#${view}-rows [data-row]`).waitFor()
    await look(view)
    await page.locator(`#${view}-rows [data-row]`).click()
    await page.locator(`#${view}-detail .card`).first().waitFor()
    await look(`${view}-detail`)
  }
  await callFunction(page, 'nobody', { text: WORD }, 'function_not_found')
  await page.locator('#call-data').fill(`{"text": "${WORD}" wrong`)
  await look('call')
  await page.locator('#mode-send').check()
  await look('send')
  await page.locator('#keys').click()
  await look('keys')
  await page.locator('#keys-close').click()
}
