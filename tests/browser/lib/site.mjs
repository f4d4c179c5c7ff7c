// Pages of an application, on an origin of their own: an HTTP server on 127.0.0.1 that serves the page, and the published client
// as it is in its packages. The import map names what a bundler would find by itself.
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { onEnd } from '../../sdk/node/lib/harness.mjs'

const MODULES = new URL('../node_modules/', import.meta.url)
const IMPORTS = {
  '@motiadev/stream-client-browser': '/modules/@motiadev/stream-client-browser/dist/index.js',
  '@motiadev/stream-client': '/modules/@motiadev/stream-client/dist/index.js',
  uuid: '/modules/uuid/dist/index.js',
}
const TYPES = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8' }

/** Serves a page with this body and this module at `/`, and says where. */
export async function serve(body, script) {
  const map = JSON.stringify({ imports: IMPORTS })
  const page = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="importmap">${map}</script>${body}<script type="module">${script}</script>`
  const server = createServer(async ({ url }, response) => {
    const { pathname } = new URL(url, 'http://here')
    try {
      const text = pathname === '/' ? page : await readFile(new URL(pathname.replace('/modules/', ''), MODULES))
      response.writeHead(200, { 'content-type': TYPES[pathname === '/' ? 'html' : 'js'] }).end(text)
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  onEnd(() => { server.closeAllConnections(); server.close() })
  return `http://127.0.0.1:${server.address().port}/`
}
