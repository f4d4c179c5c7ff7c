'use strict'

// Streams: the tree of what holds items, and one group live: its items as they are, and each frame that subscribers get.

const MOST_GROUPS = 500 // shown of a stream, and streams of the tree; the search finds the others

function openStreams(root) {
  const tree = openTree((stream, group) => go(addressOf('streams', [stream, group])))
  const pane = make('div.group-pane', { id: 'group' })
  root.append(make('h1.hidden', {}, 'Streams'), tree.element, pane)
  let group = null
  return {
    show({ parts: [stream, name], query }) {
      const named = name !== undefined
      root.toggleAttribute('data-open', named)
      tree.choose(stream, name)
      if (!named) {
        group?.close()
        group = null
        pane.replaceChildren(make('p.empty', {}, 'Choose a group, and see its items and every change of them as it happens.'))
      } else if (group?.stream !== stream || group?.name !== name) {
        group?.close()
        group = openGroup(pane, stream, name, query.item)
      }
    },
    refresh(beat) {
      if (beat % 4 === 0) tree.refresh()
      if (beat % 3 === 0) group?.loadSubscribers()
    },
    close: () => group?.close(),
    escape: () => group?.escape() || (route.parts.length > 1 && (go(addressOf('streams')), true)),
    press: (key, target) => (key === 'p' && group ? (group.pause(), true) : tree.press(key, target)),
  }
}

// --- The tree -------------------------------------------------------------------------------------------------------

function openTree(open) {
  const search = searchField('Stream or group', unhurried(() => load()))
  search.id = 'streams-search'
  const rows = make('div.rows', { id: 'tree', 'data-rows': true, role: 'tree', 'aria-label': 'Streams and their groups' })
  const note = make('p.note', { role: 'status', id: 'tree-note' })
  const empty = make('div', { id: 'tree-empty' })
  const expanded = new Set()
  const sought = () => search.value.trim()
  let answer = null // what the server has found
  let asked = 0
  let due = 0
  let chosen = []

  async function load() {
    const mine = ++asked
    const began = performance.now()
    try {
      const found = await request(pathOf('streams', { q: sought() }))
      if (mine !== asked) return
      answer = found
      if (answer.whole.streams === 1 && answer.streams.length) expanded.add(answer.streams[0].id)
      render()
    } catch (error) {
      if (mine === asked) setText(note, plain(error.message))
    }
    due = performance.now() + 20 * (performance.now() - began) // a store of very many groups is not asked all the time
  }

  /** The rows to show: streams, and the groups of those that are open or were searched for. */
  function visible() {
    const text = sought().toLowerCase()
    const rows = []
    for (const { id, groups, total, found } of answer.streams) {
      const open = expanded.has(id) || (text !== '' && !id.toLowerCase().includes(text))
      rows.push({ key: JSON.stringify([id]), stream: id, count: total, open })
      if (open) for (const group of groups.slice(0, MOST_GROUPS)) rows.push({ key: JSON.stringify([id, group]), stream: id, group })
      if (rows.length > 2 * MOST_GROUPS || (open && found > Math.min(groups.length, MOST_GROUPS))) rows.more = true
      if (rows.length > 2 * MOST_GROUPS) break
    }
    return rows
  }

  function render() {
    if (!answer) return
    const rowsShown = visible()
    setRows(rows, rowsShown, ({ key }) => key, create, (row, { stream, group, count, open }) => {
      if (group !== undefined) return row.setAttribute('aria-selected', stream === chosen[0] && group === chosen[1])
      row.setAttribute('aria-expanded', open)
      setText(row.lastChild, countText(count))
    })
    const { streams, groups } = answer.whole
    const more = rowsShown.more ? 'Not all are shown: search for the others.' : ''
    fill(empty, !streams && [], () => [make('b', {}, 'No stream holds items yet.'), make('p', {}, 'Store one, here or from a worker: ', button('set', 'call stream::set', () => prepareCall('stream::set')))])
    setText(note, !streams ? ''
      : !rowsShown.length ? 'No stream and no group matches. One without items is not listed; write its name into the address: #/streams/STREAM/GROUP'
        : `${countText(streams)} stream${streams === 1 ? '' : 's'}, ${countText(groups)} group${groups === 1 ? '' : 's'}. ${more}`)
  }

  function create({ stream, group, key }) {
    const settings = { role: 'treeitem', 'aria-level': group === undefined ? 1 : 2, 'data-stream': stream, 'data-group': group }
    if (group !== undefined) return make('div.row.group', { ...settings, onclick: () => open(stream, group) }, nameOf(group))
    return make('div.row.stream', { ...settings, onclick: () => toggle(stream, key) }, make('span.twist', { 'aria-hidden': 'true' }), nameOf(stream), make('span.count', {}))
  }

  function toggle(stream, key, opened = rows.byKey.get(key).getAttribute('aria-expanded') !== 'true') {
    if (opened) expanded.add(stream)
    else expanded.delete(stream)
    render()
  }

  load()
  return {
    element: make('div.tree-pane', {}, make('div.bar', {}, search), rows, empty, note),
    refresh: () => performance.now() >= due && load(),
    choose(...names) {
      chosen = names
      if (names[1] !== undefined) expanded.add(names[0])
      render()
    },
    press(key, target) {
      const { stream, group, row } = target.dataset
      if (!target.matches('#tree [data-row]') || !['ArrowLeft', 'ArrowRight'].includes(key)) return false
      if (group === undefined) toggle(stream, row, key === 'ArrowRight')
      else if (key === 'ArrowLeft') focusRow(rows.byKey.get(JSON.stringify([stream])))
      return true
    },
  }
}

// --- A group, live --------------------------------------------------------------------------------------------------

const MOST_FRAMES = 500
const MOST_FRAME_CHARS = 4_000_000 // of all frames that are kept; the newest is kept whatever its size
const MOST_ITEMS = 1000
const PAINT_MS = 120

/** What is known of a group: its items in the order of their creation, and the last frames, newest first. */
class LiveGroup {
  items = new Map()
  total = 0
  frames = []
  chars = 0
  arrived = 0

  take(name, text) {
    const value = parseJson(text)
    if (name === 'state') this.#replace(value)
    else if (name === 'change') this.#apply(value)
    else return
    const type = name === 'state' ? 'state' : value.event.type
    this.frames.unshift({ key: String(++this.arrived), type, value, id: value.id ?? null, at: value.timestamp, chars: text.length })
    this.chars += text.length
    while (this.frames.length > MOST_FRAMES || (this.chars > MOST_FRAME_CHARS && this.frames.length > 1)) this.chars -= this.frames.pop().chars
  }

  #replace({ items, total }) {
    this.items = new Map(items.map(({ id, data }) => [id, { id, data, at: null }])) // when each was changed, a state does not say
    this.total = total
  }

  #apply({ id, timestamp, event: { type, data } }) {
    const known = this.items.has(id)
    if (type === 'delete') {
      this.items.delete(id)
      this.total = Math.max(this.items.size, this.total - 1)
    } else if (type === 'create' || type === 'update') {
      if (type === 'create' && !known) this.total++
      // Of a group that is only shown in part, an item that was not in the state is not there either.
      if (known || this.items.size < MOST_ITEMS) this.items.set(id, { id, data, at: timestamp, changed: true })
      this.total = Math.max(this.items.size, this.total)
    }
  }
}

function openGroup(pane, stream, name, item) {
  const live = new LiveGroup()
  const ended = new AbortController()
  let filter = item ?? ''
  let chosen = item === undefined ? null : { item }
  let frozen = null // the frames that a pause shows
  let pausedAt = 0
  let painting = null

  const names = { stream_name: stream, group_id: name }
  const status = make('span.state', { id: 'live-state', role: 'status' })
  const subscribers = make('a', { id: 'subscribers', href: addressOf('sessions', [], { q: name }), title: 'The sessions that subscribe to this group' })
  const pauseButton = button('pause', 'pause', pause)
  const search = searchField('Items', unhurried((text) => { filter = text; paint() }))
  search.value = filter
  search.id = 'group-search'
  const items = makeTable('items', 'Items', [['Item', 'name'], ['Value', 'text'], ['Changed', 'number']])
  const frames = makeTable('frames', 'Frames, newest first', [['Time', 'clock'], ['Type', 'type'], ['Item', 'name'], ['Data', 'text']])
  const [itemsNote, framesNote] = [make('span.note', { id: 'items-note' }), make('span.note', { id: 'frames-note' })]
  const [itemsEmpty, framesEmpty] = [make('div', { id: 'items-empty' }), make('div', {})]
  const detail = make('section.detail', { id: 'value', hidden: true })

  pane.replaceChildren(
    make('div.bar', {}, make('a.back', { href: addressOf('streams'), 'aria-label': 'All streams' }, '‹'), make('h2', { id: 'group-name' }, nameOf(stream), ' › ', nameOf(name)), status, subscribers),
    make('div.bar', {}, search, pauseButton, button('set', 'set…', () => prepareCall('stream::set', { ...names, item_id: filter, data: { id: filter } })), button('send', 'send an event…', () => prepareSend(stream, name, filter))),
    make('div.live', {},
      make('section', {}, make('h3', {}, 'Items ', itemsNote), make('div.scroll', {}, items.table, itemsEmpty)),
      make('section', {}, make('h3', {}, 'Frames ', framesNote), make('div.scroll', {}, frames.table, framesEmpty))),
    detail)

  function paintSoon() {
    painting ??= setTimeout(() => { painting = null; paint() }, PAINT_MS)
  }

  function paint() {
    const sought = filter.toLowerCase()
    const matches = ({ id }) => !sought || (id !== null && id.toLowerCase().includes(sought))
    if (!frozen) paintItems([...live.items.values()].filter(matches))
    paintFrames((frozen ?? live.frames).filter(matches))
    setText(pauseButton, frozen ? `go on (${countText(live.arrived - pausedAt)} new)` : 'pause')
    pauseButton.setAttribute('aria-pressed', Boolean(frozen))
    showValue()
  }

  function paintItems(shown) {
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches || shown.filter((item) => item.changed).length > 40
    setRows(items.body, shown, ({ id }) => id, ({ id }) => Object.assign(items.row(), { onclick: () => choose({ item: id }) }), (row, item) => {
      row.setAttribute('aria-selected', chosen?.item === item.id)
      if (row.item === item) return
      row.item = item
      row.cells[0].replaceChildren(nameOf(item.id))
      setText(row.cells[1], preview(item.data))
      row.cells[2].replaceChildren(item.at === null ? make('span.muted', { title: 'Not since this page looks' }, '–') : timeOf(item.at))
      if (item.changed && !calm) row.animate([{ backgroundColor: 'var(--flash)' }, {}], 700)
    })
    for (const item of live.items.values()) item.changed = false
    items.table.hidden = !shown.length
    const part = live.items.size < live.total
    setText(itemsNote, `${filter ? countText(shown.length) + ' of ' : ''}${part ? `the first ${countText(live.items.size)} of ` : ''}${countText(live.total)}`)
    fill(itemsEmpty, !shown.length && live.arrived > 0 && [filter, part], ([sought, cut]) => make('div.empty', {}, ...noItems(sought, cut)))
  }

  function noItems(sought, cut) {
    if (!sought) return [make('b', {}, 'This group holds no items.'), make('p', {}, 'Store one, and it is here as soon as it is stored: ', button('set', 'call stream::set', () => prepareCall('stream::set', { ...names, item_id: 'alice', data: { id: 'alice' } })))]
    if (!cut) return [make('b', {}, 'No item matches.')]
    return [make('b', {}, 'Not among those that are shown.'), make('p', {}, 'Ask for it: ', button('get', 'call stream::get', () => prepareCall('stream::get', { ...names, item_id: sought })))]
  }

  function paintFrames(shown) {
    setRows(frames.body, shown, ({ key }) => key, makeFrameRow, (row, frame) => row.setAttribute('aria-selected', chosen?.frame === frame))
    frames.table.hidden = !shown.length
    setText(framesNote, `${countText(shown.length)}${live.arrived > shown.length ? ` of ${countText(live.arrived)}` : ''}`)
    fill(framesEmpty, !shown.length && [live.arrived > 0], ([any]) => make('p.empty', {}, any ? 'No frame of such an item yet.' : 'The state comes first, then every change.'))
  }

  function makeFrameRow(frame) {
    const { type, value, id, at } = frame
    const row = Object.assign(frames.row(), { onclick: () => choose({ frame }) })
    row.dataset.type = type
    row.cells[0].append(make('time', { title: exactText(at) }, clockText(at)))
    row.cells[1].append(make('span.tag', { 'data-type': type }, plain(type)))
    row.cells[2].append(id === null ? make('span.muted', {}, type === 'state' ? 'all' : 'group') : nameOf(id))
    row.cells[3].append(type === 'state' ? `${countText(value.items.length)} item${value.items.length === 1 ? '' : 's'}` : preview(type === 'event' ? value.event.event : value.event.data))
    return row
  }

  function choose(next) {
    const row = detail.contains(document.activeElement) && pane.querySelector('.live [aria-selected="true"]')
    chosen = next
    paint()
    if (!next && row) focusRow(row)
  }

  function showValue() {
    detail.hidden = !chosen
    if (!chosen) return
    const { frame } = chosen
    const id = frame ? frame.id : chosen.item
    const known = live.items.get(id)
    if (detail.chosen === chosen && (frame || detail.item === known)) return
    const scroll = detail.chosen === chosen ? detail.querySelector('pre')?.scrollTop : 0
    Object.assign(detail, { chosen, item: known })
    const value = frame ? frame.value : known?.data
    detail.replaceChildren(
      make('div.bar', {}, make('h3', { id: 'value-title' }, frame ? `Frame: ${plain(frame.type)} ` : 'Item ', id === null ? '' : nameOf(id)),
        make('span.muted', {}, frame ? [bytesText(frame.chars), ', ', exactText(frame.at)].join('') : known && known.at !== null ? timeOf(known.at) : ''),
        make('span.actions', {}, copyButton(() => JSON.stringify(value)), ...(id === null ? [] : actionsOf(id, known)), button('close', 'close', () => choose(null), 'quiet'))),
      frame || known ? jsonBlock(value, 'value-json') : make('p.empty', {}, live.arrived ? 'The group holds no such item now, or it is not among those that are shown. It is shown here as soon as it changes.' : 'Waiting for the state.'))
    if (scroll) detail.querySelector('pre').scrollTop = scroll
  }

  const actionsOf = (id, known) => [
    button('only', 'only this', () => { search.value = filter = id; paint() }),
    button('get', 'get…', () => prepareCall('stream::get', { ...names, item_id: id })),
    button('set', 'set…', () => prepareCall('stream::set', { ...names, item_id: id, data: known?.data ?? { id } })),
    button('delete', 'delete…', () => prepareCall('stream::delete', { ...names, item_id: id })),
  ]

  function pause() {
    frozen = frozen ? null : live.frames.slice()
    pausedAt = live.arrived
    paint()
  }

  async function loadSubscribers() {
    try {
      const { sessions } = await request(pathOf('sessions', { q: name }))
      const here = sessions.filter((session) => session.subscriptions.some((subscription) => subscription.stream === stream && subscription.group === name))
      const lagging = here.filter((session) => session.lagging).length
      setText(subscribers, `${countText(here.length)}${sessions.length === 500 ? ' or more' : ''} subscriber${here.length === 1 ? '' : 's'}` + (lagging ? `, ${lagging} lagging` : ''))
      subscribers.toggleAttribute('data-lagging', lagging > 0)
    } catch { /* the list stays as it was; the banner says that the server is silent */ }
  }

  follow(pathOf('live', { stream, group: name }), ended.signal, (kind, text) => { live.take(kind, text); paintSoon() }, (state, text) => {
    status.dataset.state = state === 'live' ? 'ok' : state
    setText(status, plain(text))
    pane.toggleAttribute('data-stale', state === 'lost')
  })
  paint()
  loadSubscribers()
  return {
    stream, name, pause, loadSubscribers,
    close: () => { ended.abort(); clearTimeout(painting) },
    escape: () => Boolean(chosen) && (choose(null), true),
  }
}
