'use strict'

// Sessions and workers: a list with a search, and one thing of it open beside.

/**
 * Opens a list. `spec` has its name, searchLabel and columns; `load(q)` → { rows, note }; of a thing `keyOf`, `title`, the
 * `cells` of its row (each a text, or `{ shown, build }`) and the sections of its `detail` (each `[shown, build]`); what
 * is said when it is `gone`, and when the list is `empty(q)`.
 */
function openList(root, spec) {
  const search = searchField(spec.searchLabel, unhurried((text) => root.isConnected && go(addressOf(spec.name, [], { ...route.query, q: text }), true)))
  search.id = spec.name + '-search'
  const note = make('span.note', { role: 'status' })
  const { table, body, row } = makeTable(spec.name + '-rows', spec.name, spec.columns)
  const empty = make('div', { id: spec.name + '-empty' })
  table.hidden = true
  const title = make('h2')
  const sections = make('div')
  const detail = make('aside.detail', { id: spec.name + '-detail', hidden: true }, make('div.bar', {}, title, button('close', 'close', () => choose(null), 'quiet')), sections)
  root.append(make('h1.hidden', {}, spec.name), make('div.bar', {}, search, note), make('div.split', {}, make('div.pane', {}, table, empty), detail))
  let things = []
  let known = null // the open one, also when it is gone from the list
  let asked = 0
  const choose = (id) => go(addressOf(spec.name, [], { ...route.query, id }))

  async function load() {
    const mine = ++asked
    try {
      const answer = await spec.load(route.query.q ?? '')
      if (mine !== asked) return
      things = answer.rows
      setText(note, answer.note)
      fill(empty, !things.length && [route.query.q], ([q]) => spec.empty(q))
    } catch (error) {
      if (mine === asked) setText(note, plain(error.message))
      return
    }
    table.hidden = !things.length
    setRows(body, things, spec.keyOf, (thing) => Object.assign(row(), { onclick: () => choose(spec.keyOf(thing)) }), (element, thing) => {
      element.setAttribute('aria-selected', spec.keyOf(thing) === route.query.id)
      spec.cells(thing).forEach((cell, index) => fill(element.children[index], cell.shown ?? cell, () => cell.build?.() ?? cell))
    })
    showDetail()
  }

  function showDetail() {
    const { id } = route.query
    const listed = things.find((thing) => spec.keyOf(thing) === id)
    known = listed ?? (known && spec.keyOf(known) === id ? known : null)
    detail.hidden = !id
    root.toggleAttribute('data-open', Boolean(id))
    if (!id) return
    fill(title, [known ? spec.title(known) : id], ([text]) => nameOf(text))
    const parts = [...(listed ? [] : [[spec.gone, (text) => make('p.notice', {}, text)]]), ...(known ? spec.detail(known) : [])]
    while (sections.childElementCount < parts.length) sections.append(make('section'))
    while (sections.childElementCount > parts.length) sections.lastChild.remove()
    parts.forEach(([shown, build], index) => fill(sections.children[index], shown, build))
  }

  return {
    show() {
      if (document.activeElement !== search) search.value = route.query.q ?? ''
      for (const element of body.children) element.setAttribute('aria-selected', element.dataset.row === route.query.id)
      const closed = !route.query.id && known && body.byKey?.get(spec.keyOf(known))
      showDetail()
      if (closed && document.activeElement === document.body) focusRow(closed)
      if (!route.query.id) known = null
      load()
    },
    refresh: (beat) => beat % 2 && load(),
    escape: () => Boolean(route.query.id) && (choose(null), true),
  }
}

// --- Sessions ---------------------------------------------------------------------------------------------------------

// Longer than a client that reads is silent: it answers a ping every 25 s.
const SILENT_MS = 30_000

/** What an operator asks of a session, answered: `[mark, word, sentence]`. */
function verdictOf(session) {
  const waiting = bytesText(session.queued_bytes)
  if (!session.subscriptions.length) return ['warn', 'no subscription', 'It has no subscription, so it is sent nothing: it has not joined yet, its join was refused, or it has left.']
  if (session.lagging) return ['bad', 'lagging', `It reads too slowly: ${waiting} wait. It is left out of changes until half of that has drained, and then gets one sync with the whole state.`]
  if (session.silent_ms > SILENT_MS) return ['warn', 'silent', `${waiting} wait, and nothing was heard of it for ${durationText(session.silent_ms)}, no answer to a ping either: the client hangs, or the network to it does.`]
  if (session.queued_bytes) return ['ok', 'sending', `${waiting} are on their way, and it takes them.`]
  if (session.subscriptions.some(({ joining }) => joining)) return ['warn', 'joining', 'A join handler is still being asked. Until it has answered, the client is told nothing of that group.']
  return ['ok', 'up to date', 'Nothing waits: it was handed every change of its subscriptions. If it misses one, compare stream, group and item below with where the change went; live shows that.']
}

const pathOfNames = ({ stream, group, item }) => [nameOf(stream), ' › ', nameOf(group), ...(item === null ? [] : [' › ', nameOf(item)])]

function openSessions(root) {
  let groups = null // stream → groups that hold items, to find subscriptions that wait for nothing
  let due = 0
  const holds = ({ stream, group }) => !groups || Boolean(groups.get(stream)?.includes(group))

  /** Looks again while a session is open, as seldom as a store of very many groups wants it. */
  async function loadGroups() {
    const began = performance.now()
    if (route.query.id === undefined || began < due) return
    due = Infinity
    try {
      const answer = await request('streams')
      groups = answer.truncated ? null : new Map(answer.streams.map(({ id, groups }) => [id, groups]))
    } catch { /* the next one may come */ }
    due = performance.now() + Math.max(4000, 20 * (performance.now() - began))
  }

  return openList(root, {
    name: 'sessions',
    searchLabel: 'Address, context, stream, group or subscription',
    columns: [['', 'mark'], ['Address', 'name'], ['Subscriptions', 'text roomy'], ['Queued', 'number'], ['Resyncs', 'number wide roomy'], ['Last heard', 'number wide roomy'], ['Connected', 'number wide roomy']],
    keyOf: ({ id }) => String(id),
    title: ({ address }) => address,
    gone: 'It is not listed: it has closed, or it does not match the search. What is below was known of it before.',
    async load(q) {
      const [{ sessions, total }] = await Promise.all([request(pathOf('sessions', { q })), loadGroups()])
      const rank = ({ lagging, queued_bytes }) => (lagging ? 100 : 0) + Math.floor(Math.log2(queued_bytes + 1))
      sessions.sort((one, other) => rank(other) - rank(one) || one.id - other.id)
      const lagging = sessions.filter((session) => session.lagging).length
      const most = sessions.length < total ? `the ${countText(sessions.length)} with the longest queues of ${countText(total)}; search for others` : `${countText(total)} session${total === 1 ? '' : 's'}`
      return { rows: sessions, note: most + (lagging ? `, ${lagging} lagging` : '') }
    },
    cells(session) {
      const [mark, word, sentence] = verdictOf(session)
      return [
        { shown: [mark, word], build: () => make('span.state', { 'data-state': mark, title: sentence }, word) },
        plain(session.address),
        { shown: session.subscriptions.slice(0, 5), build: () => session.subscriptions.slice(0, 5).flatMap((subscription, index) => [index ? ', ' : '', ...pathOfNames(subscription)]) },
        session.queued_bytes ? bytesText(session.queued_bytes) : '0',
        countText(session.resyncs),
        session.silent_ms < 1000 ? 'now' : { shown: Math.round((now() - session.silent_ms) / 1000), build: () => timeOf(now() - session.silent_ms) },
        { shown: session.connected_at, build: () => timeOf(session.connected_at, '') },
      ]
    },
    detail: (session) => [
      [verdictOf(session), ([mark, word, sentence]) => make('p.verdict', { 'data-state': mark, id: 'verdict' }, make('b', {}, word), ' ', sentence)],
      [[session.resyncs, session.queued_bytes, Math.round((now() - session.silent_ms) / 1000)], () => facts([
        ['Queued', bytesText(session.queued_bytes)],
        ['Resyncs', session.resyncs ? `${countText(session.resyncs)}: so often it fell behind, and got what it missed as one sync, not one by one` : '0'],
        ['Last heard', timeOf(now() - session.silent_ms)], ['Connected', timeOf(session.connected_at)], ['Session', String(session.id)]])],
      [session.context, (context) => [make('h3', {}, 'Context'), context === null ? make('p.muted', {}, 'None: there is no auth function, or it gave none.') : jsonBlock(context)]],
      [[session.subscriptions, session.subscriptions.map(holds)], ([subscriptions]) => [make('h3', {}, `Subscriptions (${countText(session.subscribed)})`), ...subscriptions.map(subscriptionCard)]],
    ],
    empty: (q) => make('div.empty', {}, make('b', {}, q ? 'No session matches.' : 'No client is connected.'), make('p', {}, q
      ? 'A client that is not here is not connected to this node: it was refused (auth function, allowed origins, a limit), it was closed, or it is at another node. Look for its address in the log.'
      : `Open new WebSocket('${clientsAt()}/stream/STREAM/GROUP/') and it is listed here.`)),
  })

  function subscriptionCard(subscription) {
    const { id, stream, group, item } = subscription
    return make('div.card', { 'data-subscription': id }, make('a', { href: addressOf('streams', [stream, group], { item }), title: 'Watch it live' }, pathOfNames(subscription)),
      holds(subscription) ? null : make('p.warn', {}, 'This group holds no items. Are the names those that are written to?'),
      make('div.bar', {}, make('code.muted', {}, plain(id)), button('disconnect', 'disconnect…', () => prepareCall('stream::disconnect', { subscription_id: id }), 'quiet')))
  }
}

// --- Workers ----------------------------------------------------------------------------------------------------------

const MOST_FUNCTIONS = 200

function openWorkers(root) {
  const title = ({ name, id }) => name ?? id.slice(0, 8)
  const callButtons = (functions) => [make('div.chips', {}, functions.slice(0, MOST_FUNCTIONS).map((id) => make('button.chip', { type: 'button', 'data-function': id, title: 'Call it', onclick: () => prepareCall(id) }, nameOf(id)))),
    functions.length > MOST_FUNCTIONS ? make('p.muted', {}, `and ${countText(functions.length - MOST_FUNCTIONS)} more`) : null]
  const builtIn = make('section', { id: 'built-in' })
  const list = openList(root, {
    name: 'workers',
    searchLabel: 'Name, address, function, trigger or stream',
    columns: [['', 'mark'], ['Worker', 'name'], ['Runtime', 'text wide roomy'], ['Address', 'text wide roomy'], ['Functions', 'number'], ['Triggers', 'number'], ['Under way', 'number wide roomy'], ['Connected', 'number wide roomy']],
    keyOf: ({ id }) => id,
    title,
    gone: 'It is not listed: it has disconnected, and its functions and triggers are gone with it; or it does not match the search.',
    async load(q) {
      const { workers, orphans, built_in } = await request('workers')
      const rows = workers.filter((worker) => JSON.stringify(worker).toLowerCase().includes(q.toLowerCase()))
      fill(builtIn, [built_in, orphans], () => [
        ...(orphans.length ? [make('h3', {}, 'Triggers whose function nobody serves'), ...orphans.map(triggerCard)] : []),
        make('h3', {}, 'Built in'), ...callButtons(built_in)])
      return { rows, note: rows.length < workers.length ? `${rows.length} of ${countText(workers.length)} workers` : `${countText(workers.length)} worker${workers.length === 1 ? '' : 's'}` }
    },
    cells: (worker) => [
      { shown: worker.status, build: () => make('span.state', { 'data-state': worker.status === 'busy' ? 'busy' : 'ok' }, plain(worker.status)) },
      { shown: title(worker), build: () => nameOf(title(worker)) }, plain([worker.runtime, worker.version].filter(Boolean).join(' ') || '–'), plain(worker.ip_address),
      countText(worker.functions.length), countText(worker.triggers.length), countText(worker.active_invocations),
      { shown: worker.connected_at_ms, build: () => timeOf(worker.connected_at_ms, '') },
    ],
    detail: (worker) => [
      [worker.active_invocations, () => facts([['Under way', `${countText(worker.active_invocations)} invocations`], ['Runtime', plain([worker.runtime, worker.version].filter(Boolean).join(' ') || 'not said')],
        ['Address', plain(worker.ip_address)], ['Connected', timeOf(worker.connected_at_ms)], ['Id', make('code', {}, plain(worker.id))]])],
      [worker.functions, (functions) => [make('h3', {}, `Functions (${countText(functions.length)})`), ...(functions.length ? callButtons(functions) : [make('p.muted', {}, 'None: it only calls.')])]],
      [worker.triggers, (triggers) => [make('h3', {}, `Triggers (${countText(triggers.length)})`), ...(triggers.length ? triggers.map(triggerCard) : [make('p.muted', {}, 'None: no change and no join calls it.')])]],
    ],
    empty: (q) => make('div.empty', {}, make('b', {}, q ? 'No worker matches.' : 'No worker is connected.'), make('p', {}, q
      ? 'A worker that is not here is not connected to this node, and its functions are answered with function_not_found.'
      : `Start one: registerWorker('${workersAt()}'), and it is listed with its functions and triggers.`)),
  })
  root.querySelector('.pane').append(builtIn)
  return list
}

function triggerCard({ id, trigger_type, function_id, config }) {
  const { stream_name: stream, group_id: group } = config ?? {}
  const watch = typeof stream === 'string' && typeof group === 'string' ? make('a', { href: addressOf('streams', [stream, group]) }, 'watch it live') : null
  return make('div.card', { 'data-trigger': id }, make('div.bar', {}, make('b', {}, nameOf(trigger_type)), '→', make('code', {}, nameOf(function_id)), watch), jsonBlock(config))
}
