// weir-run: 0.9.0 0.11.6 0.22.1
// Errors as the SDK's caller sees them (protocol.md A.9).
import { check, holds, main, rejection, unique } from './lib/harness.mjs'
import { TriggerAction, call, is09, registerWorker, registered } from './lib/sdk.mjs'

await main(async () => {
  const iii = registerWorker()
  const other = registerWorker()
  const stream_name = unique('seats')

  const missing = unique('no::such')
  const notFound = await rejection('an unknown function', call(iii, missing, {}))
  check('unknown function: code', notFound.code, 'function_not_found')
  holds('unknown function: message names it', notFound.message.includes(missing), notFound.message)
  if (is09) {
    holds('SDK 0.9 rejects with the error body itself', !(notFound instanceof Error), String(notFound))
    check('no stacktrace key, not even null', 'stacktrace' in notFound, false)
  } else {
    check('unknown function: the SDK knows which', notFound.function_id, missing)
  }

  const good = { stream_name, group_id: 'g', item_id: 'i' }
  const bad = [
    ['stream::set', good, 'without data'],
    ['stream::set', { ...good, item_id: undefined, data: 1 }, 'without item_id'],
    ['stream::set', { ...good, stream_name: 5, data: 1 }, 'number as stream_name'],
    ['stream::set', null, 'null payload'],
    ['stream::set', 'text', 'text payload'],
    ['stream::get', undefined, 'no payload'],
    ['stream::get', { stream_name, group_id: 'g' }, 'without item_id'],
    ['stream::delete', {}, 'empty'],
    ['stream::list', { stream_name }, 'without group_id'],
    ['stream::list_groups', {}, 'empty'],
    ['stream::send', { stream_name, group_id: 'g', data: 1 }, 'without type'],
    ['stream::send', { stream_name, group_id: 'g', type: 'x' }, 'without data'],
    ['stream::update', good, 'without ops'],
    ['stream::update', { ...good, ops: {} }, 'ops is no array'],
    ['stream::update', { ...good, ops: [{ type: 'explode', path: 'x' }] }, 'unknown op'],
    ['stream::update', { ...good, ops: [{ type: 'increment', path: 'x' }] }, 'increment without by'],
  ]
  for (const [function_id, payload, what] of bad) {
    const error = await rejection(`${function_id}: ${what}`, call(iii, function_id, payload))
    check(`${function_id}: ${what}`, error.code, 'deserialization_error')
    holds(`${function_id}: ${what}: message names the function`, error.message.includes(function_id), error.message)
  }
  check('bad input stores nothing', await call(iii, 'stream::get', good), undefined)

  const id = (name) => unique(name)
  iii.registerFunction({ id: id('throws') }, () => {
    throw new Error('boom')
  })
  iii.registerFunction({ id: id('throws::text') }, async () => {
    throw 'only text'
  })
  iii.registerFunction({ id: id('echo') }, async (input) => input)
  iii.registerFunction({ id: id('nothing') }, async () => {})
  let entered
  const inside = new Promise((resolve) => {
    entered = resolve
  })
  const doomed = registerWorker()
  doomed.registerFunction({ id: id('never') }, () => {
    entered()
    return new Promise(() => {})
  })
  await registered(iii, { functions: ['throws', 'throws::text', 'echo', 'nothing', 'never'].map(id) })

  for (const [name, caller] of [['itself', iii], ['another worker', other]]) {
    const boom = await rejection('throws', call(caller, id('throws'), {}))
    check(`a handler that throws, called by ${name}`, [boom.code, is09 ? boom.message : boom.message.replace(/^invocation_failed: /, '')], ['invocation_failed', 'boom'])
    holds('with the stacktrace of the callee', boom.stacktrace.includes('errors.mjs'), boom.stacktrace)
    const text = await rejection('throws text', call(caller, id('throws::text'), {}))
    holds('a handler that throws text', text.code === 'invocation_failed' && text.message.includes('only text'), text)
    const { _caller_worker_id, ...echo } = await call(caller, id('echo'), { a: [1, null, 'ü'], b: {} })
    check(`echo for ${name}`, echo, { a: [1, null, 'ü'], b: {} })
    check('user payloads get no _caller_worker_id', _caller_worker_id, undefined)
    for (const value of [[1, 2], 'text', 5, true]) check(`echo of ${JSON.stringify(value)}`, await call(caller, id('echo'), value), value)
    check('echo of no payload is nothing', (await call(caller, id('echo'), undefined)) ?? null, null)
    check('a handler without a result', (await call(caller, id('nothing'), {})) ?? null, null)
  }

  other.trigger({ function_id: missing, payload: {}, action: TriggerAction.Void() })
  check('a void call of an unknown function disturbs nothing', await call(other, id('echo'), 'next'), 'next')

  const pending = rejection('a call to a worker that goes away', call(iii, id('never'), {}))
  await inside
  await doomed.shutdown()
  check('a worker that goes away fails its calls', (await pending).code, 'invocation_stopped')
  check('and takes its functions along', (await rejection('gone', call(iii, id('never'), {}))).code, 'function_not_found')
})
