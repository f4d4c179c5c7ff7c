// weir-run: 0.9.0 0.11.6 0.22.1
// After shutdown() the process of a worker ends by itself. 0.11.6 does not when /otel is refused (protocol.md A.2);
// the `ws` package waits 30 s for a server that does not answer its Close frame.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { check, holds, main, unique } from './lib/harness.mjs'
import { call, registerWorker, registered, version } from './lib/sdk.mjs'

const EXIT_MS = 10_000

async function worker() {
  const iii = registerWorker()
  iii.registerFunction({ id: unique('echo') }, async (input) => input)
  await registered(iii, { functions: [unique('echo')] })
  console.log(`called ${await call(iii, unique('echo'), 'once')}`)
  const from = Date.now()
  await iii.shutdown()
  console.log(`shutdown() returned after ${Date.now() - from} ms`)
}

if (process.argv[3] === 'worker') {
  await worker()
} else {
  await main(async () => {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), version, 'worker'], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (data) => {
      output += data
    })
    const code = await new Promise((resolve) => {
      const late = setTimeout(() => {
        child.kill('SIGKILL')
        resolve(`still alive ${EXIT_MS} ms after it was started`)
      }, EXIT_MS)
      child.on('close', (status) => {
        clearTimeout(late)
        resolve(status)
      })
    })
    console.log(output.trimEnd())
    holds('the call went through', output.includes('called once'))
    holds('shutdown() returned', output.includes('shutdown() returned'))
    check('the process ended by itself', code, 0)
  })
}
