'use strict'

// Calls of functions and events to a group, by hand.

const ITEM = { stream_name: '', group_id: '', item_id: '' }
const PAYLOADS = {
  'stream::set': { ...ITEM, data: {} }, 'stream::get': ITEM, 'stream::delete': ITEM,
  'stream::update': { ...ITEM, ops: [{ type: 'set', path: '', value: {} }] },
  'stream::list': { stream_name: '', group_id: '' }, 'stream::list_groups': { stream_name: '' }, 'stream::list_all': {},
  'stream::send': { stream_name: '', group_id: '', type: '', data: {} }, 'stream::disconnect': { subscription_id: '' },
}
const FIELDS = ['function_id', 'stream', 'group', 'item', 'type', 'data']
const MOST_CALLS = 20
const MOST_KEPT_CHARS = 50_000

const draft = { mode: 'call', ...JSON.parse(remembered('draft', '{}')) }
function keepDraft() {
  remember('draft', JSON.stringify({ ...draft, data: (draft.data ?? '').slice(0, MOST_KEPT_CHARS) }))
}
function prepare(fields) {
  Object.assign(draft, fields)
  keepDraft()
  if (route.view === 'call') page.show()
  else go(addressOf('call'))
}
const prepareCall = (function_id, payload = PAYLOADS[function_id] ?? {}) => prepare({ mode: 'call', function_id, data: JSON.stringify(payload, null, 2) })
const prepareSend = (stream, group, item) => prepare({ mode: 'send', stream, group, item: item ?? '', data: '{}' })

function openCall(root) {
  const field = (name, label, settings = {}) => make('label', {}, label, make('input', { id: 'call-' + name, name, autocomplete: 'off', spellcheck: 'false', ...settings }))
  const functions = make('datalist', { id: 'functions' })
  const mode = (value, text) => make('label', {}, make('input', { type: 'radio', name: 'mode', value, id: 'mode-' + value, onchange: () => prepare({ mode: value }) }), text)
  const editor = make('textarea', { id: 'call-data', name: 'data', rows: 14, spellcheck: 'false', 'aria-describedby': 'call-fault', placeholder: 'null' })
  const fault = make('div.fault', { id: 'call-fault', role: 'status' })
  const result = make('section', { id: 'call-result', 'aria-live': 'polite' }, make('p.empty', {}, 'The result of a call is shown here.'))
  const send = make('button.main', { type: 'submit', id: 'call-submit', title: 'Ctrl Enter' }, 'Call')
  const form = make('form', { id: 'call-form', 'data-mode': 'call', oninput: typed, onsubmit: (event) => { event.preventDefault(); submit() } },
    make('div.modes', { role: 'radiogroup', 'aria-label': 'What to do' }, mode('call', 'Call a function'), mode('send', 'Send an event')),
    make('div.fields.call', {}, field('function_id', 'Function', { list: 'functions', placeholder: 'stream::get', 'data-search': true, onchange: template }), functions),
    make('div.fields.send', {}, field('stream', 'Stream'), field('group', 'Group'), field('item', 'Item', { placeholder: 'the whole group' }), field('type', 'Type', { placeholder: 'typing' })),
    make('label', {}, 'JSON', editor), make('div.bar', {}, send, button('format', 'format', format)), fault)
  const history = make('div.rows', { id: 'call-history', 'data-rows': true, role: 'listbox', 'aria-label': 'Last calls' })
  root.append(make('h1.hidden', {}, 'Call'), make('div.split.halves', {}, make('div.pane', {}, form), make('div.pane', {}, result, make('h3', {}, 'Last calls'), history)))
  let calls = JSON.parse(remembered('calls', '[]'))
  let waiting = null

  function show() {
    form.dataset.mode = draft.mode
    form.elements.mode.value = draft.mode
    for (const name of FIELDS) form.elements.namedItem(name).value = draft[name] ?? ''
    setText(send, draft.mode === 'call' ? 'Call' : 'Send')
    check()
    showCalls()
  }
  function typed() {
    for (const name of FIELDS) draft[name] = form.elements.namedItem(name).value
    keepDraft()
    check()
  }
  function template() {
    const empty = !editor.value.trim() || Object.values(PAYLOADS).concat({}).some((payload) => JSON.stringify(payload, null, 2) === editor.value.trim())
    if (empty && PAYLOADS[draft.function_id]) prepareCall(draft.function_id)
  }
  function format() {
    if (!check()) prepare({ data: JSON.stringify(parseJson(editor.value || 'null'), null, 2) })
  }

  /** Says where the JSON is wrong, and returns that place. */
  function check() {
    const found = editor.value.trim() ? jsonFault(editor.value) : null
    editor.setAttribute('aria-invalid', Boolean(found))
    fill(fault, found !== null && [found, editor.value.slice(0, found.at + 60)], ([{ at, wanted }]) => {
      const before = editor.value.slice(0, at).split('\n')
      const column = before.at(-1).length
      const line = editor.value.split('\n')[before.length - 1]
      const from = Math.max(0, column - 30)
      const place = button('fault', `line ${before.length}, column ${column + 1}`, () => goTo(at))
      return [make('p', {}, place, ` expected ${wanted}`), make('pre', {}, `${plain(line.slice(from, from + 60))}\n${' '.repeat(plain(line.slice(from, column)).length)}▲`)]
    })
    return found
  }
  function goTo(at) {
    editor.focus()
    editor.setSelectionRange(at, at + 1)
  }

  async function submit() {
    const found = check()
    if (found) return goTo(found.at)
    const required = draft.mode === 'call' ? ['function_id'] : ['stream', 'group', 'type']
    const missing = required.find((name) => !draft[name])
    if (missing) return form.elements.namedItem(missing).focus()
    if (waiting) return
    waiting = new AbortController()
    const called = { mode: draft.mode, ...Object.fromEntries(FIELDS.map((name) => [name, draft[name] ?? ''])), at: now() }
    form.setAttribute('aria-busy', 'true')
    result.replaceChildren(make('p', {}, 'Waiting for the answer, since ', timeOf(called.at, ''), ' ', button('stop', 'stop waiting', () => waiting?.abort())))
    let answer
    try {
      answer = await request(called.mode, { method: 'POST', body: bodyOf(called), signal: waiting.signal })
    } catch (error) {
      const gone = error.name === 'AbortError' ? 'You stopped waiting; the call may still be carried out.' : error.status ? error.message : 'The server gave no answer; whether the call was carried out is not known.'
      answer = { ok: false, error: { code: error.status ? `status ${error.status}` : 'no answer', message: gone }, elapsed_ms: now() - called.at }
    }
    waiting = null
    form.removeAttribute('aria-busy')
    result.replaceChildren(...resultOf(called, answer))
    calls = [{ ...called, data: called.data.slice(0, MOST_KEPT_CHARS), ok: answer.ok, elapsed_ms: answer.elapsed_ms }, ...calls].slice(0, MOST_CALLS)
    remember('calls', JSON.stringify(calls))
    showCalls()
  }
  // The payload goes as it was typed: parsed and written again, it might have lost digits.
  function bodyOf({ mode, function_id, stream, group, item, type, data }) {
    const fields = mode === 'call' ? { function_id } : { stream, group, item: item || null, type }
    return JSON.stringify(fields).replace(/}$/, () => `,"data":${data.trim() || 'null'}}`)
  }
  const nameOfCall = ({ mode, function_id, stream, group, type }) => plain(mode === 'call' ? function_id : `${type} → ${stream} › ${group}`)
  const elapsedOf = (ms) => `${ms < 10 ? ms.toFixed(2) : countText(ms)} ms`

  function resultOf(called, { ok, result, error, elapsed_ms }) {
    const head = make('div.bar', {}, make('span.state', { 'data-state': ok ? 'ok' : 'bad', id: 'call-outcome' }, ok ? 'ok' : plain(error.code)), make('b', {}, nameOfCall(called)), make('span.muted', {}, elapsedOf(elapsed_ms)))
    if (!ok) return [head, make('p.notice', {}, plain(error.message))]
    head.append(copyButton(() => JSON.stringify(result)))
    return [head, jsonBlock(result ?? null, 'call-value')]
  }
  function showCalls() {
    setRows(history, calls, ({ at }) => String(at), (call) => make('div.row', { role: 'option', title: 'Take it into the form', onclick: () => prepare(Object.fromEntries(['mode', ...FIELDS].map((name) => [name, call[name]]))) },
      make('span.state', { 'data-state': call.ok ? 'ok' : 'bad' }, call.ok ? 'ok' : 'failed'), make('span.name', {}, nameOfCall(call)), make('span.muted', {}, elapsedOf(call.elapsed_ms)), timeOf(call.at)), () => {})
  }
  request('workers').then(({ workers, built_in }) => functions.append(...[...new Set([...built_in, ...workers.flatMap((worker) => worker.functions)])].sort().map((id) => make('option', { value: id }))), () => {})
  return { show, submit, close: () => waiting?.abort() }
}
