import { describe, expect, test } from 'vitest'
import { limits } from '../bytes/limits.ts'
import type { Operation } from '../commit/operation.ts'
import { MergedItem } from '../merge/item.ts'
import { type ItemState, isPresent, ropeOf } from '../merge/state.ts'
import { map, number, type Scalar, set, string, text } from '../schema/field.ts'
import { schema } from '../schema/schema.ts'
import { Draft } from './draft.ts'

const title = string({ max: 20 })
const Thing = schema('thing', 1, { title, count: number(), tags: set(string()), marks: map(number()), notes: text() })

type Random = (below: number) => number

/** Mulberry32. */
const seeded = (seed: number): Random => {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const idOf = (index: number): string => index.toString(16).padStart(64, '0')

/** An item under a draft: other replicas write to it, and the draft is written when it is taken. */
class Bench {
  readonly item = new MergedItem('key', Thing)
  readonly draft = new Draft(Thing)
  state: ItemState = this.item.value()
  #heads: readonly number[] = []
  #next = 0

  count(operations: readonly Operation[], parents: readonly number[] = this.item.heads): void {
    const clock = ++this.#next
    const { refusal } = this.item.count({ id: idOf(clock), clock, parents: [...parents], operations, seen: -1 })
    expect(refusal).toBe(undefined)
  }

  /** Takes in what was counted; gives what an editor of the text is told. */
  refresh() {
    const { state, texts } = this.item.since(this.#heads, this.state)
    this.state = state
    this.#heads = [...this.item.heads]
    return texts.has('notes') ? this.draft.rebase('notes', texts.get('notes') ?? []) : []
  }

  /** Writes what is pending. The texts are the draft's already. */
  take(): Operation[] {
    const operations = this.draft.take(this.state)
    if (operations.length > 0) this.count(operations)
    this.state = this.item.value()
    this.#heads = [...this.item.heads]
    return operations
  }

  shown() {
    const { draft, state } = this
    return {
      title: draft.scalar('title', title, state),
      tags: [...draft.elements('tags', state)],
      marks: [...draft.entries('marks', state)],
      notes: draft.text('notes', state).toString(),
      present: draft.isPresent(state),
    }
  }
}

const words = ['a', 'b', 'c', '\u{1f9f5}']

describe('a draft', () => {
  test('shows what a plain copy shows, and once taken the value is what it showed', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = seeded(seed)
      const bench = new Bench()
      const { draft } = bench
      let notes = ''
      let tags = new Set<Scalar>()
      let marks = new Map<string, Scalar>()
      let name: Scalar = ''
      const word = (): string => words[random(words.length)] ?? ''
      for (let step = 0; step < 40; step++) {
        const message = `seed ${seed}, step ${step}`
        const kind = random(10)
        if (kind === 0) {
          name = word()
          draft.assign('title', name, bench.state)
        }
        if (kind === 1) {
          const value = word()
          expect(draft.add('tags', value, bench.state), message).toBe(!tags.has(value))
          tags.add(value)
        }
        if (kind === 2) {
          const value = word()
          expect(draft.remove('tags', value, bench.state), message).toBe(tags.delete(value))
        }
        if (kind === 3) {
          const value = random(9)
          draft.put('marks', 'k', value)
          marks.set('k', value)
        }
        if (kind === 4) expect(draft.drop('marks', 'k', bench.state), message).toBe(marks.delete('k'))
        if (kind === 5) {
          const units = [...notes]
          const from = random(units.length + 1)
          const gone = units.slice(from, from + random(3)).join('')
          const at = units.slice(0, from).join('').length
          const insert = gone === '' || random(2) === 0 ? word() : ''
          draft.splice('notes', [{ at, remove: gone.length, insert }], bench.state)
          notes = notes.slice(0, at) + insert + notes.slice(at + gone.length)
        }
        if (kind === 6 || kind === 7) {
          // Another replica writes, on what is written or beside it.
          const parents = random(2) === 0 ? bench.item.heads : bench.item.heads.slice(0, 1)
          const before = bench.item.at([...parents])
          const text = ropeOf(before, 'notes').toString()
          const elements = before.fields.get('tags')
          const entries = before.fields.get('marks')
          const all: Operation[] = [
            { kind: 'splice', field: 'notes', at: 0, remove: 0, length: 1, insert: 'R' },
            { kind: 'splice', field: 'notes', at: text.length, remove: 0, length: 1, insert: 'S' },
            { kind: 'add', field: 'tags', value: word() },
            { kind: 'put', field: 'marks', entry: ['k', 10 + random(9)] },
            { kind: 'assign', field: 'title', value: word() },
          ]
          if (/^[a-zA-Z]/.test(text))
            all.push({ kind: 'splice', field: 'notes', at: 0, remove: 1, length: 0, insert: '' })
          if (elements?.kind === 'elements' && elements.byTag.size > 0)
            all.push({ kind: 'remove', field: 'tags', tags: [...elements.byTag.keys()] })
          const entered = entries?.kind === 'entries' ? [...entries.byKey.values()].flat() : []
          if (entered.length > 0) all.push({ kind: 'drop', field: 'marks', tags: entered.map(({ tag }) => tag) })
          const chosen = all[random(all.length)]
          if (chosen !== undefined) bench.count([chosen], parents)
          for (const { at, remove, insert } of bench.refresh())
            notes = notes.slice(0, at) + insert + notes.slice(at + remove)
          const now = bench.shown()
          expect(now.notes, message).toBe(notes)
          tags = new Set(now.tags)
          marks = new Map(now.marks)
          name = now.title
        }
        if (kind === 8) {
          const before = bench.shown()
          bench.take()
          expect(draft.isEmpty, message).toBe(true)
          expect(bench.shown(), message).toEqual(before)
          expect(bench.state, message).toBe(bench.item.value())
        }
        if (kind === 9 && random(4) === 0) {
          if (random(2) === 0 && draft.isPresent(bench.state)) draft.delete()
          else if (!draft.isPresent(bench.state)) draft.touch()
        }
        const shown = bench.shown()
        expect(shown.title, message).toBe(name)
        expect(shown.notes, message).toBe(notes)
        expect(shown.tags, message).toEqual([...tags].sort())
        expect(shown.marks, message).toEqual([...marks])
      }
    }
  })

  test('shows sets and maps in one order, however they came', () => {
    const bench = new Bench()
    for (const value of ['c', 'a', 'b']) bench.draft.add('tags', value, bench.state)
    for (const key of ['z', 'x', 'y']) bench.draft.put('marks', key, 1)
    const before = bench.shown()
    expect(before.tags).toEqual(['a', 'b', 'c'])
    expect(before.marks.map(([key]) => key)).toEqual(['x', 'y', 'z'])
    bench.take()
    expect(bench.shown()).toEqual(before)
  })

  test('with edits brings back what another replica deleted, and says so before it is taken', () => {
    const bench = new Bench()
    bench.count([{ kind: 'touch' }, { kind: 'add', field: 'tags', value: 'a' }])
    bench.refresh()
    bench.draft.assign('title', 'x', bench.state)
    bench.count([{ kind: 'delete' }])
    bench.refresh()
    expect(bench.shown().present).toBe(true)
    bench.take()
    expect(isPresent(bench.state)).toBe(true)
  })

  test('whose one removal was made elsewhere meanwhile brings nothing back', () => {
    const bench = new Bench()
    bench.count([{ kind: 'add', field: 'tags', value: 'a' }])
    bench.refresh()
    bench.draft.remove('tags', 'a', bench.state)
    const tags = bench.state.fields.get('tags')
    bench.count([
      { kind: 'remove', field: 'tags', tags: tags?.kind === 'elements' ? [...tags.byTag.keys()] : [] },
      { kind: 'delete' },
    ])
    bench.refresh()
    expect(bench.shown().present).toBe(false)
    expect(bench.take()).toEqual([])
    expect(isPresent(bench.state)).toBe(false)
  })

  test('shows where its text went, also over a value that was there before', () => {
    const bench = new Bench()
    bench.count([{ kind: 'splice', field: 'notes', at: 0, remove: 0, length: 3, insert: 'abc' }])
    bench.refresh()
    const { draft, state } = bench
    draft.splice('notes', [{ at: 1, remove: 0, insert: 'X' }], state)
    expect(draft.rebase('notes', [{ at: 0, remove: 3, insert: '' }])).toEqual([
      { at: 0, remove: 1, insert: '' },
      { at: 1, remove: 2, insert: '' },
    ])
    expect(draft.rebase('notes', [{ at: 0, remove: 0, insert: 'abc' }])).toEqual([{ at: 0, remove: 0, insert: 'abc' }])
    expect(draft.text('notes', state).toString()).toBe('abcX')
  })

  test('that puts in and takes out the same text is empty', () => {
    const bench = new Bench()
    bench.draft.splice('notes', [{ at: 0, remove: 0, insert: 'abc' }], bench.state)
    bench.draft.splice('notes', [{ at: 0, remove: 3, insert: '' }], bench.state)
    expect(bench.draft.isEmpty).toBe(true)
  })

  test.each<[string, (draft: Draft, state: ItemState) => void]>([
    ['a date that is none', (draft, state) => draft.assign('count', new Date(Number.NaN), state)],
    ['a number that is none', (draft, state) => draft.assign('count', Number.NaN, state)],
    ['half a surrogate pair', (draft, state) => draft.assign('title', '\ud83e', state)],
    ['too long a string', (draft, state) => draft.assign('title', 'ä'.repeat(11), state)],
    ['an element of another type', (draft, state) => void draft.add('tags', 5, state)],
    ['a map key with half a surrogate pair', (draft) => void draft.put('marks', '\udc00', 1)],
    ['too long a map key', (draft) => void draft.put('marks', 'k'.repeat(limits.nameBytes + 1), 1)],
    ['a map key that is no text', (draft) => void Reflect.apply(draft.put, draft, ['marks', 5, 1])],
  ])('refuses %s, as a value', (_, edit) => {
    const { draft, state } = new Bench()
    edit(draft, state)
    expect([...draft.refused.values()].map(({ refusal }) => refusal.code)).toEqual(['BadValue'])
    expect(draft.isEmpty).toBe(true)
    expect(draft.take(state)).toEqual([])
  })
})
