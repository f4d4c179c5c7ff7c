// weir-run: 0.9.0 0.11.6 0.22.1
// Trigger types of a worker: bound before they exist, rejected, provided again after a restart (protocol.md A.7).
import { check, main, unique, until } from './lib/harness.mjs'
import { call, is022, registerWorker, registered, triggerRows } from './lib/sdk.mjs'

await main(async () => {
  const type = unique('webhook')
  const consumer = registerWorker()
  const heard = []
  const run = unique('hooks::run')
  consumer.registerFunction({ id: run }, (input) => {
    heard.push(input)
    return { done: input.n }
  })
  const rows = async () => (await triggerRows(consumer)).filter((row) => row.function_id === run && row.trigger_type === type)
  const early = consumer.registerTrigger({ type, function_id: run, config: { path: '/early' } })
  await registered(consumer, { functions: [run], triggers: [run] })

  const provide = () => {
    const bound = []
    const unbound = []
    const worker = registerWorker()
    worker.registerTriggerType(
      { id: type, description: 'calls back' },
      {
        async registerTrigger(binding) {
          bound.push(binding)
          if (binding.config.path === '/taken') throw new Error('path taken')
        },
        async unregisterTrigger(binding) {
          unbound.push(binding.id)
        },
      },
    )
    return { worker, bound, unbound }
  }
  const first = provide()
  await until('the early binding', () => first.bound.length >= 1)
  const [{ id, function_id, config }] = first.bound
  check('bound before the type existed', [function_id, config], [run, { path: '/early' }])
  check('listed with its id', (await rows()).map((row) => [row.id, row.config]), [[id, { path: '/early' }]])

  const late = consumer.registerTrigger({ type, function_id: run, config: { path: '/late' } })
  await until('the late binding', () => first.bound.length >= 2)
  check('bound after the type existed', first.bound.map((b) => b.config.path), ['/early', '/late'])
  check('the provider fires what is bound', await call(first.worker, function_id, { n: 1 }), { done: 1 })
  check('the consumer heard', heard.map(({ n }) => n), [1])

  consumer.registerTrigger({ type, function_id: run, config: { path: '/taken' } })
  await until('the rejected binding is delivered', () => first.bound.length >= 3)
  await until('the rejected binding is removed', async () => (await rows()).length === 2)
  check('the others stay', (await rows()).map((row) => row.config.path).sort(), ['/early', '/late'])

  late.unregister()
  await until('the unbound one is gone', async () => (await rows()).length === 1)
  if (is022) {
    const lateId = first.bound[1].id
    await until('the provider hears of it', () => first.unbound.includes(lateId))
    check('unbound once', first.unbound, [lateId])
  }

  await first.worker.shutdown()
  const second = provide()
  await until('the binding at the new provider', () => second.bound.length >= 1)
  check('delivered again with the same id', second.bound[0].id, id)
  const fence = consumer.registerTrigger({ type, function_id: run, config: { path: '/fence' } })
  await until('the fence', () => second.bound.some((b) => b.config.path === '/fence'))
  check('delivered once', second.bound.map((b) => b.config.path), ['/early', '/fence'])

  second.worker.unregisterTriggerType({ id: type, description: 'calls back' })
  const third = provide()
  await until('both bindings at the third provider', () => third.bound.length >= 2)
  check('unregistering a type keeps what is bound to it', third.bound.map((b) => b.config.path).sort(), ['/early', '/fence'])
  early.unregister()
  fence.unregister()
  await until('all unbound', async () => (await rows()).length === 0)
})
