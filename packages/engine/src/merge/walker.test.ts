import { describe, expect, test } from 'vitest'
import { naiveText } from './naive.ts'
import { Rope } from './rope.ts'
import { applySplices, type Splice } from './splice.ts'
import { type TextHistory, transform } from './walker.ts'

type Random = (below: number) => number

/** Mulberry32: a small generator, enough to choose edits. */
const seeded = (seed: number): Random => {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

interface Event {
  readonly parents: readonly number[]
  readonly splices: readonly Splice[]
  readonly tieBreak: string
  /** The events its author knew to be dead. */
  readonly knownDead: ReadonlySet<number>
  /** And those whose inserts were erased. */
  readonly knownErased?: ReadonlySet<number>
}

const nothing: ReadonlySet<number> = new Set()

const historyOf = (
  events: readonly Event[],
  dead: ReadonlySet<number> = nothing,
  listed = true,
  erased: ReadonlySet<number> = nothing,
): TextHistory => {
  const at = (event: number): Event => {
    const found = events[event]
    if (!found) throw new Error(`no event ${event}`)
    return found
  }
  const pasts = new Map<number, ReadonlySet<number>>()
  const past = (author: number): ReadonlySet<number> => {
    const known = pasts.get(author) ?? new Set(at(author).parents.flatMap((parent) => [parent, ...past(parent)]))
    pasts.set(author, known)
    return known
  }
  return {
    parents: (event) => at(event).parents,
    splices: (event) => at(event).splices,
    tieBreak: (event) => at(event).tieBreak,
    dead: (event) => dead.has(event),
    deadTo: (event, author) => {
      if (!dead.has(event) || !past(author).has(event)) throw new Error(`asked for ${event} of ${author}`)
      return at(author).knownDead.has(event)
    },
    erased: (event) => erased.has(event),
    erasedTo: (event, author) => {
      if (!erased.has(event) || !past(author).has(event)) throw new Error(`asked for ${event} of ${author}`)
      return at(author).knownErased?.has(event) === true
    },
    ...(listed ? { deadEvents: [...new Set([...dead, ...erased])].sort((a, b) => a - b) } : {}),
  }
}

const headsOf = (events: readonly Event[]): number[] => {
  const parents = new Set(events.flatMap((event) => event.parents))
  return events.map((_, index) => index).filter((index) => !parents.has(index))
}

const replayed = (history: TextHistory, from: readonly number[], to: readonly number[], text = ''): string => {
  const result = applySplices(Rope.from(text), transform(history, from, to))
  if (!result) throw new Error('the splices do not fit the text')
  return result.toString()
}

const letters = ['a', 'b', 'c', 'd', 'e', 'f', '\u{1f9f5}', 'xyz', 'lmnop']

/** Where an edit may go: not between the halves of a pair. */
const aligned = (text: string, at: number): number => {
  const unit = text.charCodeAt(at)
  return unit >= 0xdc00 && unit <= 0xdfff ? at - 1 : at
}

const splicesFor = (random: Random, before: string, caret: number): { splices: Splice[]; caret: number } => {
  const splices: Splice[] = []
  let text = before
  let place = Math.min(caret, text.length)
  const make = (from: number, to: number, insert: string): void => {
    const at = aligned(text, Math.max(0, from))
    const end = Math.max(at, aligned(text, Math.min(to, text.length)))
    splices.push({ at, remove: end - at, insert })
    text = text.slice(0, at) + insert + text.slice(end)
    place = at + insert.length
  }
  const letter = (): string => letters[random(letters.length)] ?? ''
  for (let left = 1 + random(3); left > 0; left--) {
    const kind = random(9)
    const end = text.length
    if (kind < 3) make(place, place, letter())
    else if (kind === 3) {
      make(place, place, letter())
      place = splices.at(-1)?.at ?? 0
    } else if (kind === 4) make(place - 1, place, '')
    else if (kind === 5) make(0, 0, letter())
    else if (kind === 6) make(end >> 1, end >> 1, letter())
    else if (kind === 7) {
      const from = random(end + 1)
      make(from, from + random(4), random(2) > 0 ? letter() : '')
    } else make(end, end, letter())
  }
  return { splices, caret: place }
}

/** Authors edit what they see, take in each other's versions, and now and then learn that an event is dead. */
const randomEvents = (
  random: Random,
  withDead: boolean,
  withErased = false,
): { events: Event[]; dead: ReadonlySet<number>; erased: ReadonlySet<number> } => {
  const events: Event[] = []
  const dead = new Set<number>()
  const erased = new Set<number>()
  const authors = Array.from({ length: 2 + random(3) }, () => ({
    heads: [] as readonly number[],
    caret: 0,
    knownDead: new Set<number>(),
    knownErased: new Set<number>(),
  }))
  const reduce = (heads: readonly number[]): number[] => {
    const below = new Set<number>()
    const walk = (event: number): void => {
      for (const parent of events[event]?.parents ?? []) {
        if (below.has(parent)) continue
        below.add(parent)
        walk(parent)
      }
    }
    for (const head of heads) walk(head)
    return [...new Set(heads)].filter((head) => !below.has(head)).sort((a, b) => a - b)
  }
  for (let count = 4 + random(22); events.length < count; ) {
    const author = authors[random(authors.length)]
    const other = authors[random(authors.length)]
    if (!author || !other) continue
    if (random(3) === 0) {
      author.heads = reduce([...author.heads, ...other.heads])
      for (const event of other.knownDead) author.knownDead.add(event)
      for (const event of other.knownErased) author.knownErased.add(event)
      continue
    }
    if (withDead && events.length > 0 && random(4) === 0) {
      const event = random(events.length)
      dead.add(event)
      if (random(3) > 0) author.knownDead.add(event)
    }
    if (withErased && events.length > 0 && random(4) === 0) {
      const event = random(events.length)
      erased.add(event)
      if (random(3) > 0) author.knownErased.add(event)
    }
    const before = naiveText(historyOf(events, author.knownDead, true, author.knownErased), author.heads)
    const { splices, caret } = splicesFor(random, before, author.caret)
    const [knownDead, knownErased] = [new Set(author.knownDead), new Set(author.knownErased)]
    events.push({ parents: author.heads, splices, tieBreak: String(random(1e9)), knownDead, knownErased })
    author.heads = [events.length - 1]
    author.caret = caret
  }
  return { events, dead, erased }
}

/** The same events in another order of admission. */
const readmitted = (
  random: Random,
  events: readonly Event[],
  dead: ReadonlySet<number>,
  erased: ReadonlySet<number>,
) => {
  const places = new Map<number, number>()
  const open = new Set(events.keys())
  while (open.size > 0) {
    const ready = [...open].filter((event) => events[event]?.parents.every((parent) => places.has(parent)))
    const event = ready[random(ready.length)] ?? 0
    open.delete(event)
    places.set(event, places.size)
  }
  const move = (numbers: Iterable<number>): number[] => [...numbers].map((event) => places.get(event) ?? -1)
  const moved: Event[] = []
  for (const [event, place] of places) {
    const known = events[event]
    if (!known) continue
    const { parents, knownDead, knownErased = nothing, ...rest } = known
    const [dead, erased] = [new Set(move(knownDead)), new Set(move(knownErased))]
    moved[place] = { ...rest, parents: move(parents).sort((a, b) => a - b), knownDead: dead, knownErased: erased }
  }
  return { history: historyOf(moved, new Set(move(dead)), true, new Set(move(erased))), move }
}

const compareWithOracle = (seed: number, withDead: boolean, withErased = false): void => {
  const random = seeded(seed)
  const { events, dead, erased } = randomEvents(random, withDead, withErased)
  const history = historyOf(events, dead, random(2) === 0, erased)
  const heads = headsOf(events)
  const whole = naiveText(history, heads)
  const message = `seed ${seed}`
  expect(replayed(history, [], heads), message).toBe(whole)
  for (let round = 0; round < 4; round++) {
    const pick = (): number[] => [...new Set([random(events.length), random(events.length)])].slice(random(2))
    const from = random(8) === 0 ? [] : pick()
    const to = random(2) === 0 ? heads : pick()
    const text = naiveText(history, [...from, ...to])
    expect(replayed(history, from, to, naiveText(history, from)), `${message}: ${from} to ${to}`).toBe(text)
  }
  for (const [index, event] of events.entries()) {
    const seen = historyOf(events, event.knownDead, true, event.knownErased)
    const before = naiveText(seen, event.parents)
    const after = applySplices(Rope.from(before), event.splices)?.toString()
    expect(replayed(seen, event.parents, [index], before), `${message}: event ${index}`).toBe(after)
  }
  for (let round = 0; round < 3; round++) {
    const { history: other, move } = readmitted(random, events, dead, erased)
    expect(replayed(other, [], move(heads)), `${message}, readmitted`).toBe(whole)
    const from = [random(events.length)]
    expect(replayed(other, move(from), move(heads), naiveText(history, from)), `${message}, readmitted`).toBe(whole)
  }
}

describe('transform', () => {
  test('[M4] gives what the oracle gives, in any order of admission', () => {
    for (let seed = 1; seed <= 1000; seed++) compareWithOracle(seed, false)
  })

  test('[V6] gives what the oracle gives with dead events that some authors saw as dead and others did not', () => {
    for (let seed = 1; seed <= 1000; seed++) compareWithOracle(seed, true)
  })

  test('gives what the oracle gives with erased events, dead or not, that some authors saw whole and others did not', () => {
    for (let seed = 1; seed <= 2000; seed++) compareWithOracle(seed, seed % 2 === 0, true)
  })

  /** Two authors type at one place at the same time; the order of admission mixes them. */
  const twoTypists = (count: number, backwards: boolean): Event[] => {
    const knownDead = new Set<number>()
    const events: Event[] = [{ parents: [], splices: [{ at: 0, remove: 0, insert: '()' }], tieBreak: '', knownDead }]
    for (let index = 0; index < count; index++) {
      for (const insert of ['a', 'b']) {
        const parents = [index === 0 ? 0 : events.length - 2]
        const at = backwards ? 1 : 1 + index
        events.push({ parents, splices: [{ at, remove: 0, insert }], tieBreak: insert, knownDead })
      }
    }
    return events
  }

  test.each([false, true])('[M4] keeps the runs of two typists apart (backwards: %s)', (backwards) => {
    const events = twoTypists(5, backwards)
    expect(replayed(historyOf(events), [], headsOf(events))).toBe('(aaaaabbbbb)')
  })

  test('[M4] keeps words together that were typed forwards and backwards in one place', () => {
    const words = { a: [1, 2, 2, 1], b: [1, 1, 1, 4], c: [1, 1, 3, 3] }
    const knownDead = new Set<number>()
    const events: Event[] = [{ parents: [], splices: [{ at: 0, remove: 0, insert: '()' }], tieBreak: '', knownDead }]
    for (const [insert, places] of Object.entries(words)) {
      for (const [index, at] of places.entries()) {
        const parents = [index === 0 ? 0 : events.length - 1]
        events.push({ parents, splices: [{ at, remove: 0, insert }], tieBreak: insert, knownDead })
      }
    }
    expect(replayed(historyOf(events), [], headsOf(events))).toBe('(aaaabbbbcccc)')
  })

  test('does not throw at positions that cannot be', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = seeded(seed)
      const { events, dead } = randomEvents(random, true)
      const broken = events.map((event) => ({
        ...event,
        splices: event.splices.map((splice) => ({
          ...splice,
          at: splice.at + random(3),
          remove: splice.remove + random(3),
        })),
      }))
      expect(() => transform(historyOf(broken, dead), [], headsOf(broken)), `seed ${seed}`).not.toThrow()
    }
  })

  test.each([false, true])('merges two branches of 10,000 events each (backwards: %s)', (backwards) => {
    const count = 10_000
    const events = twoTypists(count, backwards)
    const expected = `(${'a'.repeat(count)}${'b'.repeat(count)})`
    expect(replayed(historyOf(events), [], headsOf(events))).toBe(expected)
    const [first = 0, second = 0] = headsOf(events)
    expect(replayed(historyOf(events), [first], [second], `(${'a'.repeat(count)})`)).toBe(expected)
  })
})
