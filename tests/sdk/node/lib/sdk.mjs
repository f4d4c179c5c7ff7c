// One face for iii-sdk 0.9.0, 0.11.6 and 0.22.1, so that the scripts hold the product's examples word for word.
import { WORKERS, onEnd, show, until } from './harness.mjs'

export const version = process.argv[2]
if (!['0.9.0', '0.11.6', '0.22.1'].includes(version)) {
  console.error(`usage: node ${process.argv[1]} 0.9.0|0.11.6|0.22.1`)
  process.exit(2)
}

/** 0.9: `registerFunction({ id }, fn)`, errors are plain objects, list helpers on the client. */
export const is09 = version === '0.9.0'
/** 0.22: providers hear of unbound triggers, helpers are free functions. */
export const is022 = version === '0.22.1'

const module = await import(`iii-sdk-${version}`)
export const { TriggerAction } = module

let workers = 0

/**
 * A connected worker with the product's `registerFunction({ id }, fn)` in every version.
 * Telemetry is a singleton of the process: the first worker has it as users do (on), further ones go without.
 */
export function registerWorker(address = WORKERS, options = {}) {
  workers += 1
  const iii = module.registerWorker(address, workers === 1 ? options : { otel: { enabled: false }, ...options })
  if (!is09) {
    const register = iii.registerFunction
    iii.registerFunction = (message, handler, ...rest) => {
      if (typeof message === 'string') return register(message, handler, ...rest)
      const { id, ...about } = message
      return register(id, handler, about)
    }
  }
  onEnd(() => iii.shutdown())
  return iii
}

export async function createStream(iii, name, stream) {
  if (iii.createStream) return iii.createStream(name, stream)
  const helpers = await import(`iii-sdk-${version}/helpers`)
  return helpers.createStream(iii, name, stream)
}

export const call = (iii, function_id, payload) => iii.trigger({ function_id, payload })

/** Trigger instances as the server lists them: 0.9's `engine::triggers::list`, later `engine::registered-triggers::list`. */
export async function triggerRows(iii) {
  const { triggers } = await call(iii, 'engine::triggers::list', { include_internal: true })
  return triggers.filter((row) => 'function_id' in row)
}

/** Registrations are never acknowledged, so this asks for the lists until they have these functions, and triggers that call these. */
export async function registered(iii, { functions = [], triggers = [] }) {
  let seen
  await until(
    () => `functions ${functions} and triggers calling ${triggers} are listed; have ${show(seen)}`,
    async () => {
      const list = await call(iii, 'engine::functions::list', { include_internal: true })
      const rows = triggers.length === 0 ? [] : await triggerRows(iii)
      seen = { functions: list.functions.map((f) => f.function_id), triggers: rows.map((t) => t.function_id) }
      return functions.every((id) => seen.functions.includes(id)) && triggers.every((id) => seen.triggers.includes(id))
    },
  )
}
