'use strict'

// The frame around the views: the server and its silence, routes, keys, the theme. Loaded last, it starts the page.

const byId = (id) => document.getElementById(id)

// --- The server -----------------------------------------------------------------------------------------------------

const LONGEST_PAUSE_MS = 15_000
const SILENCE_MS = 40_000 // a live group says something every 15 s
const pauseOf = (attempt) => Math.min(LONGEST_PAUSE_MS, 1000 * 2 ** attempt)
let skew = 0 // of the server's clock from ours
/** The time at the server, so that "3 s ago" is right with a clock that is not. */
const now = () => Date.now() + skew

async function ask(path, settings = {}) {
  const token = remembered('token')
  const headers = { ...(token && { authorization: 'Bearer ' + token }), ...(settings.body && { 'content-type': 'application/json' }) }
  const answer = await fetch('api/' + path, { ...settings, headers, cache: 'no-store' })
  if (answer.ok) return answer
  if (answer.status === 401) askToken()
  const text = await answer.text()
  let said = `it answered ${answer.status}`
  try { said = JSON.parse(text).error ?? said } catch { /* not from Weir, a proxy's page perhaps */ }
  throw Object.assign(new Error(said), { status: answer.status })
}

const request = async (path, settings = { signal: AbortSignal.timeout(10_000) }) => parseJson(await (await ask(path, settings)).text())
const pathOf = (path, query) => path + '?' + new URLSearchParams(query)

/** Follows the events at `path` until the signal says no, and begins again, after growing pauses, when they end, and at once when the page is looked at again. */
async function follow(path, ended, onEvent, onStatus) {
  for (let attempt = 0; !ended.aborted; attempt++) {
    await whenSeen()
    let reason = 'the server has ended it'
    onStatus(attempt ? 'lost' : 'connecting', 'connecting')
    const away = whenAway()
    try {
      await readEvents(path, AbortSignal.any([ended, away.signal]), (name, data) => { attempt = 0; onStatus('live', 'live'); onEvent(name, data) })
    } catch (error) {
      reason = error.status ? error.message : 'no answer'
    } finally {
      away.end()
    }
    if (ended.aborted) return
    if (away.signal.aborted) {
      attempt = -1
      continue
    }
    const pause = pauseOf(attempt)
    onStatus('lost', `${reason}; again in ${pause / 1000} s`)
    await new Promise((done) => setTimeout(done, pause))
  }
}

const AWAY_MS = 20_000 // how long a page keeps its live group that nobody sees: a browser has six connections for all of them

/** Resolves when the page can be seen. */
const whenSeen = () => new Promise((resolve) => {
  const look = () => {
    if (document.hidden) return
    document.removeEventListener('visibilitychange', look)
    resolve()
  }
  document.addEventListener('visibilitychange', look)
  look()
})

/** A signal for when the page could not be seen for a while. */
function whenAway() {
  const away = new AbortController()
  let timer = null
  const look = () => {
    clearTimeout(timer)
    if (document.hidden) timer = setTimeout(() => away.abort(), AWAY_MS)
  }
  document.addEventListener('visibilitychange', look)
  look()
  return { signal: away.signal, end: () => { clearTimeout(timer); document.removeEventListener('visibilitychange', look) } }
}

async function readEvents(path, ended, onEvent) {
  const silent = new AbortController()
  let watch = setTimeout(() => silent.abort(), SILENCE_MS)
  const answer = await ask(path, { signal: AbortSignal.any([ended, silent.signal]) })
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = '', name = '', data = ''
  try {
    for (;;) {
      const { done, value: chunk } = await reader.read()
      clearTimeout(watch)
      if (done) return
      watch = setTimeout(() => silent.abort(), SILENCE_MS)
      rest += chunk
      if (!chunk.includes('\n')) continue // a frame may have 16 MiB, which are not looked through for each piece
      const lines = rest.split('\n')
      rest = lines.pop()
      for (const line of lines) {
        if (line.startsWith('event:')) name = line.slice(6).trim()
        else if (line.startsWith('data:')) data += line.slice(5)
        else if (line.trim() === '' && data) { onEvent(name, data); name = data = '' }
      }
    }
  } finally {
    clearTimeout(watch)
    silent.abort() // or the connection stays, and a browser has but six
  }
}

function askToken() {
  const dialog = byId('token-dialog')
  if (dialog.open) return
  if (remembered('token')) setText(byId('token-text'), 'The server does not accept the token. It is the token of the admin module in its configuration.')
  dialog.showModal()
}

/** Takes a token out of the address, where it would be seen, copied and kept. */
function takeToken() {
  const asked = new URLSearchParams(location.search).get('token')
  if (!location.hash.startsWith('#token=') && asked === null) return
  const token = asked ?? decode(location.hash.slice(7))
  history.replaceState(null, '', location.pathname + (asked === null ? '#/overview' : location.hash))
  remember('token', /^[!-~]*$/.test(token) ? token : '') // no other characters get into a header
  if (page) location.reload()
}

// --- The heartbeat: the overview, once a second while the page can be seen ------------------------------------------

let overview = null
let pageVersion = null
let silentSince = null
let attempt = 0
let beats = 0
let beating = null

async function beat() {
  clearTimeout(beating)
  if (document.hidden) return
  let pause = 1000
  try {
    heard(await request('overview'))
  } catch (error) {
    pause = pauseOf(attempt++)
    missed(error, pause)
  }
  clearTimeout(beating)
  if (!byId('token-dialog').open) beating = setTimeout(beat, pause)
}

function heard(answer) {
  skew = answer.now - Date.now()
  pageVersion ??= answer.version
  overview = answer
  silentSince = null
  attempt = 0
  overviewHistory.take(answer)
  delete document.body.dataset.lost
  setText(byId('version'), answer.version)
  setReady(answer.ready ? 'ready' : 'not ready')
  if (answer.version === pageVersion) byId('banner').hidden = true
  else showBanner(`The server is now ${answer.version}, this page is of ${pageVersion}.`, 'reload', () => location.reload())
  page?.refresh?.(beats++)
}

function missed(error, pause) {
  if (error.status === 401) return
  silentSince ??= Date.now()
  document.body.dataset.lost = ''
  setReady(error.status ? 'failing' : 'lost')
  const said = error.status ? `The server answers with an error: ${plain(error.message)}` : `No answer from the server since ${clockText(silentSince).slice(0, 8)}`
  showBanner(`${said}.${overview ? ' What you see is older.' : ''} Trying again in ${pause / 1000} s.`, 'try now', beat)
}

function showBanner(text, action, onclick) {
  setText(byId('banner-text'), text)
  Object.assign(byId('banner-action'), { textContent: action, onclick })
  byId('banner').hidden = false
}

function setReady(state) {
  byId('ready').dataset.state = state
  setText(byId('ready'), state)
  document.title = (state === 'ready' ? '' : `(${state}) `) + `${route.view[0].toUpperCase()}${route.view.slice(1)} · Weir`
}

// --- Routes: #/view/part/part?key=value -----------------------------------------------------------------------------

const VIEWS = { overview: openOverview, streams: openStreams, sessions: openSessions, workers: openWorkers, call: openCall }
let route = { view: 'overview', parts: [], query: {} }
let page = null

function decode(text) {
  try { return decodeURIComponent(text) } catch { return text }
}
function readRoute() {
  const [, path, search] = /^#?\/?([^?]*)\??(.*)$/s.exec(location.hash)
  const [view, ...parts] = path.split('/').map(decode)
  return { view: Object.hasOwn(VIEWS, view) ? view : 'overview', parts, query: Object.fromEntries(new URLSearchParams(search)) }
}
function addressOf(view, parts = [], query = {}) {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString()
  return '#/' + [view, ...parts.map(encodeURIComponent)].join('/') + (search && '?' + search)
}
function go(address, replace = false) {
  if (!replace) location.hash = address
  else history.replaceState(null, '', address), navigate()
}

function navigate() {
  takeToken()
  const before = route.view
  route = readRoute()
  if (!page || before !== route.view) {
    page?.close?.()
    const root = make('div.view.' + route.view, { id: 'view-' + route.view })
    byId('main').replaceChildren(root)
    page = VIEWS[route.view](root)
  }
  for (const link of document.querySelectorAll('#nav a')) {
    if (link.dataset.view === route.view) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  setReady(byId('ready').dataset.state)
  page.show?.(route)
  if (overview && !silentSince) page.refresh?.(0)
}

// --- Keys -----------------------------------------------------------------------------------------------------------

const LETTERS = { o: 'overview', s: 'streams', e: 'sessions', w: 'workers', c: 'call' }
const STEPS = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }
let afterG = -Infinity

function onKey(event) {
  const { key, target } = event
  if (document.querySelector('dialog[open]')) return
  if (key === 'Enter' && (event.ctrlKey || event.metaKey)) return page.submit?.()
  if (event.ctrlKey || event.metaKey || event.altKey) return
  const typing = target.matches('input, textarea, select')
  if (key === 'Escape') return leave(target, typing)
  if (typing && !(key === 'ArrowDown' && target.matches('.search'))) return
  if (pressed(key, target)) event.preventDefault()
}

/** Does what a key is for, and says whether it is for anything. */
function pressed(key, target) {
  const view = performance.now() - afterG < 1500 ? LETTERS[key] : Object.keys(VIEWS)[Number(key) - 1]
  afterG = key === 'g' ? performance.now() : -Infinity
  if (view) return go(addressOf(view)), true
  if (key === '/') return focusSearch()
  if (key === '?') return byId('keys-dialog').showModal(), true
  if (key === 't') return byId('theme').click(), true
  if (page.press?.(key, target)) return true
  if (key in STEPS) return step(STEPS[key], target)
  if ((key === 'Enter' || key === ' ') && target.matches('[data-row]')) return target.click(), true
  return false
}

function leave(target, typing) {
  if (typing && target.matches('.search') && target.value) { target.value = ''; target.oninput({ target }) }
  else if (typing) target.blur()
  else if (!page.escape?.()) document.activeElement.blur()
}

function focusSearch() {
  const field = [...document.querySelectorAll('[data-search]')].findLast((search) => search.checkVisibility())
  field?.focus()
  return Boolean(field)
}

/** Goes from row to row; from elsewhere it begins at the row that Tab would come to. */
function step(by, target) {
  const list = target.closest('[data-rows]') ?? [...document.querySelectorAll('[data-rows]')].find((rows) => rows.childElementCount && rows.checkVisibility())
  if (!list || target.matches('pre')) return false
  const rows = [...list.querySelectorAll('[data-row]')]
  const at = rows.indexOf(target)
  focusRow(at < 0 ? rows.find((row) => row.tabIndex === 0) ?? rows[0] : rows[Math.max(0, Math.min(rows.length - 1, at + by))])
  return true
}

// --- The theme, and the start ---------------------------------------------------------------------------------------

const THEMES = ['auto', 'light', 'dark']
function setTheme(theme) {
  document.documentElement.dataset.theme = theme
  setText(byId('theme'), theme)
  byId('theme').title = `Theme: ${theme} (t)`
  byId('theme').setAttribute('aria-label', `Theme: ${theme}. Change it`)
  remember('theme', theme, 'localStorage')
}

setTheme(remembered('theme', 'auto', 'localStorage'))
byId('theme').onclick = () => setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length])
byId('keys').onclick = () => byId('keys-dialog').showModal()
byId('keys-close').onclick = () => byId('keys-dialog').close()
byId('token-dialog').oncancel = (event) => event.preventDefault()
byId('token-form').onsubmit = (event) => {
  event.preventDefault()
  remember('token', byId('token').value.trim())
  location.reload()
}
document.addEventListener('keydown', onKey)
document.addEventListener('visibilitychange', beat)
addEventListener('hashchange', navigate)
setInterval(() => document.hidden || tickTimes(), 1000)
navigate()
beat()
