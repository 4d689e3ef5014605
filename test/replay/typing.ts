/**
 * Records small editing traces of its own: authors who type in bursts, look elsewhere, take back what they wrote, paste, and use characters
 * that need two UTF-16 units; with several authors, each writes in a part of its own and takes in what the others wrote now and then, so
 * that, as in the published traces, no two write at one place at the same time and every merge rule gives the same text.
 *
 *     node --import tsx --conditions=weft-source test/replay/typing.ts        writes test/replay/traces/
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { naiveText } from '../../packages/engine/src/merge/naive.ts'
import { Rope } from '../../packages/engine/src/merge/rope.ts'
import { applySplices, type Splice } from '../../packages/engine/src/merge/splice.ts'
import { type TextHistory, transform } from '../../packages/engine/src/merge/walker.ts'
import { type Stream, stream } from '../sim/random.ts'
import type { Patch, TraceFile } from './trace.ts'

interface Event {
  readonly parents: readonly number[]
  readonly agent: number
  readonly splices: readonly Splice[]
}

const words = [
  'warp',
  'weft',
  'loom',
  'shuttle',
  'thread',
  'naïve',
  'Größe',
  '織る',
  '🧵',
  '👩‍🚀',
  '🎏🎏',
  'a',
  'I',
  'on',
  'selvedge',
  'heddle',
]
/** Each author writes after its own mark, so that authors are never at one place. */
const marks = ['▲', '■', '●']

const historyOf = (events: readonly Event[], firstWins: boolean): TextHistory => {
  const at = (event: number): Event => {
    const found = events[event]
    if (found === undefined) throw new Error(`no event ${event}`)
    return found
  }
  return {
    parents: (event) => at(event).parents,
    splices: (event) => at(event).splices,
    tieBreak: (event) => String(firstWins ? at(event).agent : 9 - at(event).agent),
    dead: () => false,
    deadTo: () => false,
    deadEvents: [],
  }
}

const textAt = (events: readonly Event[], version: readonly number[]): string => {
  const text = applySplices(Rope.empty, transform(historyOf(events, true), [], version))
  if (text === undefined) throw new Error('the splices do not fit')
  return text.toString()
}

const pointsIn = (text: string): number => Array.from(text).length
/** The character before a place: both units of a pair. */
const before = (text: string, at: number): number => at - ((text.codePointAt(at - 2) ?? 0) > 0xffff ? 2 : 1)

/** What an author does next to its own part of the text: one key, or one paste. */
class Author {
  readonly #draws: Stream
  /** What is still to be typed of a burst, by character. */
  #burst: string[] = []
  /** Units between the start of the part and the caret. */
  #caret = 0

  constructor(draws: Stream) {
    this.#draws = draws
  }

  edit(text: string, from: number, to: number): Splice {
    const draws = this.#draws
    const size = to - from
    let caret = Math.min(this.#caret, size)
    if (this.#burst.length === 0) {
      if (draws.chance(0.2)) caret = this.#aligned(text, from, draws.int(size + 1))
      const kind = draws.unit()
      if (kind < 0.08 && size > 12) {
        const at = this.#aligned(text, from, draws.int(size))
        const end = this.#aligned(text, from, Math.min(size, at + 1 + draws.int(10)))
        this.#caret = at
        if (end > at) return { at: from + at, remove: end - at, insert: draws.chance(0.4) ? draws.pick(words) : '' }
      } else if (kind < 0.14) {
        const paste = `${draws.pick(words)} ${draws.pick(words)}. `
        this.#caret = caret + paste.length
        return { at: from + caret, remove: 0, insert: paste }
      }
      const count = 1 + Math.floor(draws.exponential(3))
      this.#burst = [...Array.from({ length: count }, () => draws.pick(words)).join(' '), ' ']
    }
    if (draws.chance(0.06) && caret > 0) {
      const at = before(text, from + caret)
      this.#caret = at - from
      return { at, remove: from + caret - at, insert: '' }
    }
    const insert = this.#burst.shift() ?? ' '
    this.#caret = caret + insert.length
    return { at: from + caret, remove: 0, insert }
  }

  #aligned(text: string, from: number, at: number): number {
    const unit = text.charCodeAt(from + at)
    return unit >= 0xdc00 && unit <= 0xdfff ? at - 1 : at
  }
}

export const typedTrace = (seed: string, count: number, edits: number): TraceFile => {
  const draws = stream(seed, 'typing')
  const authors = Array.from({ length: count }, (_, agent) => new Author(draws.branch(`author ${agent}`)))
  const present = marks.slice(0, count)
  const events: Event[] = [{ parents: [], agent: 0, splices: [{ at: 0, remove: 0, insert: `${present.join('')}.` }] }]
  const versions: (readonly number[])[] = authors.map(() => [0])
  const patches: Patch[][] = [[[0, 0, `${present.join('')}.`]]]
  const shown = authors.map(() => `${present.join('')}.`)
  let agent = 0
  while (events.length < edits) {
    if (draws.chance(count === 1 ? 0 : 0.12)) agent = draws.int(count)
    if (draws.chance(0.2)) {
      const other = draws.int(count)
      versions[agent] = headsOf(events, [...(versions[agent] ?? []), ...(versions[other] ?? [])])
      shown[agent] = textAt(events, versions[agent] ?? [])
    }
    const text = shown[agent] ?? ''
    const start = text.indexOf(present[agent] ?? '') + 1
    const next = agent + 1 < count ? text.indexOf(present[agent + 1] ?? '') : text.length - 1
    const splice = authors[agent]?.edit(text, start, next)
    if (splice === undefined) continue
    const { at, remove, insert } = splice
    patches.push([[pointsIn(text.slice(0, at)), pointsIn(text.slice(at, at + remove)), insert]])
    events.push({ parents: versions[agent] ?? [], agent, splices: [splice] })
    versions[agent] = [events.length - 1]
    shown[agent] = text.slice(0, at) + insert + text.slice(at + remove)
  }
  const heads = headsOf(events, versions.flat())
  const endContent = naiveText(historyOf(events, true), heads)
  if (naiveText(historyOf(events, false), heads) !== endContent) throw new Error('two authors wrote at one place')
  if (count === 1) return { startContent: '', endContent, txns: patches.map((some) => ({ patches: some })) }
  const txns = events.map((event, place) => ({
    parents: event.parents,
    agent: event.agent,
    patches: patches[place] ?? [],
  }))
  return { kind: 'concurrent', endContent, numAgents: count, txns }
}

/** Those that no other one builds on. */
const headsOf = (events: readonly Event[], version: readonly number[]): number[] => {
  const below = new Set<number>()
  const open = version.flatMap((event) => events[event]?.parents ?? [])
  for (let event = open.pop(); event !== undefined; event = open.pop()) {
    if (below.has(event)) continue
    below.add(event)
    open.push(...(events[event]?.parents ?? []))
  }
  return [...new Set(version)].filter((event) => !below.has(event)).sort((a, b) => a - b)
}

/** The traces that are kept, with what they are made of. */
export const ownTraces = [
  { name: 'one-author', seed: '1', authors: 1, edits: 400 },
  { name: 'two-authors', seed: '2', authors: 2, edits: 400 },
  { name: 'three-authors', seed: '3', authors: 3, edits: 400 },
] as const

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { name, seed, authors, edits } of ownTraces) {
    const file = new URL(`./traces/${name}.json`, import.meta.url)
    writeFileSync(file, `${JSON.stringify(typedTrace(seed, authors, edits))}\n`)
  }
}
