'use strict'

// Elements, texts and numbers for the views. What the server says is put into the page as text nodes, never as markup.

/** Makes an element: `make('button.quiet', { onclick, title }, 'set')`. Settings that are null or false are left out. */
function make(kind, settings = {}, ...children) {
  const [tag, ...classes] = kind.split('.')
  const element = document.createElement(tag)
  if (classes.length) element.className = classes.join(' ')
  for (const [name, value] of Object.entries(settings)) {
    if (value === null || value === undefined || value === false) continue
    if (name.startsWith('on')) element[name] = value
    else element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined))
  return element
}

/** Fills an element anew only when what it shows has changed, so that focus, scroll and selection stay; with false, empties it. */
function fill(element, shown, build) {
  const text = JSON.stringify(shown)
  if (element.shown === text) return
  element.shown = text
  element.replaceChildren(...(shown === false ? [] : [build(shown)].flat().filter(Boolean)))
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/** Makes the rows of `list` those of `things`, in their order. A row that stays is the same element, and keeps the focus. */
function setRows(list, things, keyOf, create, update) {
  const rows = (list.byKey ??= new Map())
  const focused = list.contains(document.activeElement) ? document.activeElement : null
  const index = focused ? [...list.children].indexOf(focused) : 0
  const keys = new Set(things.map(keyOf))
  for (const [key, row] of rows) if (!keys.has(key)) row.remove(), rows.delete(key)
  let place = list.firstElementChild
  for (const thing of things) {
    const key = keyOf(thing)
    let row = rows.get(key)
    if (!row) {
      rows.set(key, (row = create(thing)))
      row.dataset.row = key
      row.tabIndex = -1
    }
    update(row, thing)
    if (row === place) place = place.nextElementSibling
    else list.insertBefore(row, place)
  }
  if (focused && document.activeElement !== focused) focusRow(focused.isConnected ? focused : list.children[Math.min(index, list.children.length - 1)])
  else if (!list.querySelector(':scope > [tabindex="0"]') && list.firstElementChild) list.firstElementChild.tabIndex = 0
}

/** Of the rows of a list one can be reached by Tab, the others from it by j and k. */
function focusRow(row) {
  if (!row) return
  for (const other of row.parentElement.querySelectorAll(':scope > [tabindex="0"]')) other.tabIndex = -1
  row.tabIndex = 0
  row.focus()
  row.scrollIntoView({ block: 'nearest' })
}

/** A table whose rows can be chosen. Columns are `[title, class]`; `wide` ones are left out beside something open, `roomy` ones on a phone. */
function makeTable(id, label, columns) {
  const body = make('tbody', { 'data-rows': true, id })
  const head = make('tr', {}, columns.map(([title, kind]) => make('th', { class: kind, scope: 'col' }, title)))
  const row = () => make('tr', {}, columns.map(([, kind]) => make('td', { class: kind })))
  return { body, row, table: make('table', { role: 'grid', 'aria-label': label }, make('thead', {}, head), body) }
}

const searchField = (label, oninput) =>
  make('input.search', { type: 'search', 'data-search': true, 'aria-label': label, placeholder: label, autocomplete: 'off', spellcheck: 'false', oninput: (event) => oninput(event.target.value) })
/** Calls back when nothing has been typed for a moment. */
function unhurried(callback) {
  let timer = null
  return (text) => {
    clearTimeout(timer)
    timer = setTimeout(() => callback(text), 150)
  }
}
const button = (name, text, onclick, kind = '') => make('button', { type: 'button', class: kind, 'data-action': name, onclick }, text)
const facts = (pairs) => make('dl.facts', {}, pairs.map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, value))))
const copyButton = (text) =>
  button('copy', 'copy', async (event) => {
    const { target } = event
    // Without TLS, and not at localhost, a page has no clipboard.
    const done = await (navigator.clipboard?.writeText(text()) ?? Promise.reject()).then(() => 'copied', () => 'not allowed')
    target.textContent = done
    setTimeout(() => (target.textContent = 'copy'), 1500)
  })

// Characters that hide, or that turn the text around them, are shown by their codes: two names that differ must look different.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g
const codeOf = (character) => '\\u' + character.charCodeAt(0).toString(16).padStart(4, '0')
const plain = (text) => String(text).replace(HIDDEN, codeOf)
/** Spaces at the ends of a name, and one that is nothing else, can be seen too. */
const edges = (text) => text.replace(/^\s+|\s+$/g, (spaces) => '␣'.repeat(spaces.length))
/** A name from outside. It stands by itself, whichever way it is written, and an empty one can be seen. */
const nameOf = (text) => (text === '' ? make('bdi.muted', {}, '(empty)') : make('bdi', { title: plain(text) }, edges(plain(text))))

/** Parses JSON; numbers that a double cannot hold stay as they were written, where the browser can do that. */
function parseJson(text) {
  if (!JSON.rawJSON || !/\d{16}|\de[+-]?\d{3}/i.test(text)) return JSON.parse(text)
  return JSON.parse(text, (_, value, { source }) => (typeof value === 'number' && String(value) !== source ? JSON.rawJSON(source) : value))
}

const preview = (value) => plain((JSON.stringify(value) ?? '').slice(0, 300))
const SHOWN_CHARS = 300_000
const COLOURED_CHARS = 30_000

/** A value as indented JSON. A long one is cut, with a button for the rest; a very long one has no colours. */
function jsonBlock(value, id) {
  const whole = (JSON.stringify(value, null, 2) ?? 'no value').replace(/[^\n]+/g, plain)
  const block = make('pre', { id, tabindex: '0', 'aria-label': 'JSON' })
  if (whole.length <= COLOURED_CHARS) block.append(...coloured(whole))
  else block.append(whole.slice(0, SHOWN_CHARS))
  if (whole.length > SHOWN_CHARS) {
    block.append('\n', button('whole', `… show all ${countText(whole.length)} characters`, () => block.replaceChildren(whole)))
  }
  return block
}

function coloured(json) {
  const parts = []
  let end = 0
  for (const match of json.matchAll(/("[^"\\]*(?:\\.[^"\\]*)*")(:)?|\b(?:true|false|null)\b|-?\b\d[\d.eE+-]*/g)) {
    const kind = match[2] ? 'key' : match[1] ? 'string' : 'literal'
    parts.push(json.slice(end, match.index), make('span.' + kind, {}, match[1] ?? match[0]))
    end = match.index + (match[1] ?? match[0]).length
  }
  return [...parts, json.slice(end)]
}

/** Where a text stops being JSON: `{ at, wanted }`, or null. Browsers say so in words of their own, and not always where. */
function jsonFault(text) {
  const space = /[ \t\n\r]*/y
  const scalar = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y
  let at = 0
  const skip = () => { space.lastIndex = at; space.exec(text); at = space.lastIndex }
  const take = (wanted) => (skip(), text.startsWith(wanted, at) && ((at += wanted.length), true))
  const fail = (wanted) => { throw { at, wanted } }
  const token = (wanted) => {
    skip()
    scalar.lastIndex = at
    if ((wanted === 'a "key"' && text[at] !== '"') || !scalar.exec(text)) fail(text[at] === '"' ? 'a string that ends, in its line and with known escapes' : wanted)
    at = scalar.lastIndex
  }
  const sequence = (close, part) => {
    if (take(close)) return
    do part(); while (take(','))
    if (!take(close)) fail(`, or ${close}`)
  }
  const value = () => {
    if (take('{')) sequence('}', () => { token('a "key"'); if (!take(':')) fail(':'); value() })
    else if (take('[')) sequence(']', value)
    else token('a value')
  }
  try {
    value()
    skip()
    return at < text.length ? { at, wanted: 'the end' } : null
  } catch (fault) {
    return 'wanted' in fault ? fault : { at, wanted: 'fewer levels' }
  }
}

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
const countText = (number) => whole.format(number ?? 0)
const rateText = (number) => (number === 0 ? '0' : number < 10 ? number.toFixed(1) : number < 10_000 ? whole.format(number) : compact.format(number))
function bytesText(bytes) {
  const power = Math.min(4, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  const number = bytes / 1024 ** power
  return `${power === 0 || number >= 100 ? Math.round(number) : number.toFixed(1)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][power]}`
}
function durationText(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`
}
const clockText = (ms) => exactText(ms).slice(11)
function exactText(ms) {
  const local = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000)
  return Number.isNaN(local.getTime()) ? String(ms) : local.toISOString().slice(0, -1).replace('T', ' ')
}
/** A time as the span since then, with the exact one as its title; `tickTimes` moves them all on. */
const timeOf = (ms, after = ' ago') => make('time', { 'data-at': ms, 'data-after': after, title: exactText(ms) }, durationText(now() - ms) + after)
function tickTimes() {
  for (const time of document.querySelectorAll('time[data-at]')) setText(time, durationText(now() - time.dataset.at) + time.dataset.after)
}

/** What a tab (or, with `localStorage`, a browser) remembers; a browser that keeps nothing from sites gives `other`. */
function remembered(name, other, store = 'sessionStorage') {
  try { return window[store].getItem('weir.' + name) ?? other } catch { return other }
}
function remember(name, value, store = 'sessionStorage') {
  try { window[store].setItem('weir.' + name, value) } catch { /* kept for this page only */ }
}
