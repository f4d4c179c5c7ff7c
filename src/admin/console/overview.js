'use strict'

// The overview: what the server is, what is connected to it, and its rates of the last two minutes.
// Each `open…` builds its view once and returns what the frame may ask of it: show (the route has changed),
// refresh (a second has passed and the server answers), close, escape, press, submit.

const HISTORY_MS = 120_000
const GAUGES = [
  ['connections', 'Connections', 'sockets of clients'],
  ['subscriptions', 'Subscriptions', 'a client may have several'],
  ['workers', 'Workers', 'connected to this node'],
  ['functions', 'Functions', 'registered by workers'],
  ['triggers', 'Triggers', 'registered by workers'],
  ['resident_bytes', 'Memory', 'resident, of the process'],
]
const CHARTS = [
  ['changes', 'Changes', 'items created, updated and deleted, and events'],
  ['deliveries', 'Deliveries', 'frames handed to clients: changes × subscribers'],
  ['delivered_bytes', 'Delivered', 'bytes handed to clients'],
  ['invocations', 'Invocations', 'calls of functions; those that failed in red', 'invocations_failed'],
  ['joins', 'Joins', 'subscriptions begun'],
  ['resyncs', 'Resyncs', 'clients that fell behind and were given the whole state anew'],
  ['evictions', 'Evictions', 'clients that the server closed'],
  ['limits_hit', 'Limits hit', 'requests refused because a limit was reached; the log names it'],
]

/** The totals of the last two minutes, whichever view is open. A restart of the server begins them anew. */
const overviewHistory = {
  started: null,
  samples: [],
  take({ started_at, now, totals }) {
    if (this.started !== started_at) Object.assign(this, { started: started_at, samples: [] })
    this.samples = this.samples.filter(({ at }) => at < now && at > now - HISTORY_MS - 3000).concat({ at: now, totals })
  },
  rates(name) {
    return this.samples.slice(1).map(({ at, totals }, index) => {
      const before = this.samples[index]
      return { at, rate: (Math.max(0, totals[name] - before.totals[name]) * 1000) / (at - before.at) }
    })
  },
}

function openOverview(root) {
  const state = make('section.facts-line', { id: 'overview-state' })
  const hint = make('section', { id: 'overview-empty' })
  const gauges = GAUGES.map(([name, title, about]) => ({ name, value: make('b', { 'data-gauge': name }, '–'), title, about }))
  const charts = CHARTS.map((chart) => makeChart(...chart))
  root.append(
    make('h1.hidden', {}, 'Overview'), state, hint,
    make('div.tiles', {}, gauges.map(({ title, about, value }) => make('div.tile', { title: about }, make('span', {}, title), value))),
    make('div.charts', {}, charts.map((chart) => chart.element)),
  )
  return {
    refresh() {
      const { ready, reasons, version, started_at, store, workers_at, streams_at, gauges: values, totals } = overview
      fill(state, [ready, reasons, version, started_at, store, workers_at, streams_at], () => [
        ready ? null : make('div.notice', { id: 'reasons' }, make('b', {}, 'Not ready'), make('ul', {}, reasons.map((reason) => make('li', {}, plain(reason))))),
        facts([['Up', timeOf(started_at, '')], ['Items', plain(store)], ['Workers at', make('code', {}, plain(workers_at))], ['Clients at', make('code', {}, plain(streams_at))]]),
      ])
      fill(hint, !values.connections && !values.workers && !totals.changes && [workers_at, streams_at], firstSteps)
      for (const { name, value } of gauges) setText(value, name === 'resident_bytes' ? bytesText(values[name]) : countText(values[name]))
      for (const chart of charts) chart.draw(totals)
    },
  }
}

/** Where to connect, as seen from this browser: not at the address that stands for all of them. */
const reachable = (address) => plain(address).replace('0.0.0.0', location.hostname)
const workersAt = () => reachable(overview?.workers_at ?? 'ws://0.0.0.0:49134')
const clientsAt = () => reachable(overview?.streams_at ?? 'ws://0.0.0.0:3112')

function firstSteps() {
  return make('div.empty', {}, make('b', {}, 'Nothing is connected yet.'),
    make('p', {}, 'Connect a worker:'), make('pre', {}, `registerWorker('${workersAt()}')`),
    make('p', {}, 'Subscribe a client, and see here what it gets:'), make('pre', {}, `new WebSocket('${clientsAt()}/stream/presence/room-1/')`),
    make('p', {}, 'Or store an item: ', button('first-set', 'call stream::set', () => prepareCall('stream::set', { stream_name: 'presence', group_id: 'room-1', item_id: 'alice', data: { id: 'alice', online: true } }))))
}

const svg = (tag, settings) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(settings)) element.setAttribute(name, value)
  return element
}

function makeChart(name, title, about, failedName) {
  const [area, line, failed, mark] = ['area', 'line', 'failed', 'mark'].map((kind) => svg('path', { class: kind }))
  const picture = svg('svg', { viewBox: '0 0 240 60', preserveAspectRatio: 'none', role: 'img' })
  picture.append(area, line, failed, mark)
  const [value, unit, total, top] = ['b.value', 'span.unit', 'span.total', 'span.top'].map((kind) => make(kind, {}, ''))
  const bytes = name.endsWith('bytes')
  const amount = (number) => (bytes ? bytesText(number) : rateText(number))
  let rates = []
  let pointed = null // where the pointer is, as a share of the width
  const show = () => {
    const at = pointed === null ? null : now() - HISTORY_MS * (1 - pointed)
    const shown = at === null ? rates.at(-1) : rates.find((rate) => rate.at >= at) ?? rates.at(-1)
    setText(value, shown ? amount(shown.rate) : '–')
    setText(unit, (bytes ? '/s' : 'per second') + (at === null || !shown ? '' : `, ${durationText(now() - shown.at)} ago`))
    mark.setAttribute('d', pointed === null ? '' : `M${pointed * 240} 0V60`)
  }
  picture.onpointermove = ({ clientX }) => { const box = picture.getBoundingClientRect(); pointed = (clientX - box.left) / box.width; show() }
  picture.onpointerleave = () => { pointed = null; show() }
  const draw = (totals) => {
    rates = overviewHistory.rates(name)
    const failures = failedName ? overviewHistory.rates(failedName) : []
    const most = Math.max(...rates.map(({ rate }) => rate), 0)
    const path = (points) => points.map(({ at, rate }, index) => `${index ? 'L' : 'M'}${(240 * (1 - (now() - at) / HISTORY_MS)).toFixed(1)} ${(59 - (55 * rate) / niceTop(most)).toFixed(1)}`).join('')
    line.setAttribute('d', path(rates))
    area.setAttribute('d', rates.length > 1 ? `${path(rates)}V60H${(240 * (1 - (now() - rates[0].at) / HISTORY_MS)).toFixed(1)}Z` : '')
    failed.setAttribute('d', failures.some(({ rate }) => rate) ? path(failures) : '')
    setText(total, `${bytes ? bytesText(totals[name]) : countText(totals[name])} since the start` + (failedName ? `, ${countText(totals[failedName])} failed` : ''))
    setText(top, most ? `top ${amount(most)}` : '')
    picture.setAttribute('aria-label', `${title} in the last two minutes: now ${rates.length ? amount(rates.at(-1).rate) : 'unknown'}, at most ${amount(most)} per second`)
    show()
  }
  const head = make('div.chart-head', {}, make('span', {}, title), top)
  return { draw, element: make('figure.chart', { title: about, 'data-chart': name }, head, make('div', {}, value, ' ', unit), picture, total) }
}

/** The next of 1, 2, 5, 10, 20 …, so that a chart does not breathe with each number. */
function niceTop(most) {
  if (most <= 1) return 1
  const power = 10 ** Math.floor(Math.log10(most))
  return [1, 2, 5, 10].find((step) => step * power >= most) * power
}
