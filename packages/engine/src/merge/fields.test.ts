import { expect, test } from 'vitest'
import type { Scalar } from '../schema/field.ts'
import { type FieldState, Fields, orderOf, type Stamp } from './fields.ts'
import { Rope } from './rope.ts'

const register = (value: Scalar, stamp: Stamp): FieldState => ({ kind: 'register', stamp, value })
const first: Stamp = { clock: 1, id: 'a' }
const second: Stamp = { clock: 2, id: 'b' }

const shown = (fields: Fields): Record<string, unknown> =>
  Object.fromEntries(
    [...fields].map(([name, field]) => [name, field.kind === 'register' ? [field.value, field.stamp.id] : field.kind]),
  )

test('a version keeps what it held while others are made from it', () => {
  const base = Fields.empty.with('title', register('one', first)).with('done', register(null, first))
  const later = base.with('title', register('two', second))
  const text = later.with('notes', { kind: 'text', rope: Rope.from('x') })
  expect(shown(Fields.empty)).toEqual({})
  expect(shown(base)).toEqual({ title: ['one', 'a'], done: [null, 'a'] })
  expect(shown(later)).toEqual({ title: ['two', 'b'], done: [null, 'a'] })
  expect(shown(text)).toEqual({ title: ['two', 'b'], done: [null, 'a'], notes: 'text' })
  expect([base.scalar('title'), base.scalar('done'), base.scalar('notes')]).toEqual(['one', null, undefined])
  expect([text.scalar('notes'), text.get('nothing'), text.scalar('nothing')]).toEqual([undefined, undefined, undefined])
})

test('a field that was a collection becomes a register and back', () => {
  const text = Fields.empty.with('a', { kind: 'text', rope: Rope.empty })
  const both = text.with('b', register(1, first))
  expect(shown(both.with('a', register(2, first)))).toEqual({ a: [2, 'a'], b: [1, 'a'] })
  expect(shown(both.with('b', { kind: 'text', rope: Rope.empty }))).toEqual({ a: 'text', b: 'text' })
})

test('names have the meaning of no object', () => {
  const fields = Fields.empty.with('__proto__', register(1, first)).with('constructor', register(2, first))
  expect([fields.scalar('__proto__'), fields.scalar('constructor'), fields.get('toString')]).toEqual([1, 2, undefined])
})

test('an order by its names is the one that setting them came to', () => {
  expect(orderOf(['one', 'two'])).toBe(orderOf(['one', 'two']))
  const names = ['two', 'one', 'three']
  const fields = new Fields(orderOf(names), [1, 2, 3], first)
  expect(shown(fields)).toEqual({ two: [1, 'a'], one: [2, 'a'], three: [3, 'a'] })
  expect([...fields].map(([name]) => name)).toEqual(names)
  expect(orderOf([])).toBe(orderOf([]))
})

test('more orders of names than are kept hold the same fields', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const orders = (rest: readonly string[]): string[][] =>
    rest.length === 0
      ? [[]]
      : rest.flatMap((name) => orders(rest.filter((other) => other !== name)).map((others) => [name, ...others]))
  const all = orders(names)
  expect(all).toHaveLength(720)
  for (const order of all) {
    const change = Fields.empty.change()
    for (const [place, name] of order.entries()) change.set(name, register(`${name}${place}`, first))
    const fields = change.finish().with('f', register('again', second))
    for (const [place, name] of order.entries())
      expect(fields.scalar(name)).toBe(name === 'f' ? 'again' : `${name}${place}`)
    expect([...fields].map(([name]) => name)).toEqual(order)
  }
  // Now that no more are kept.
  const many = Array.from({ length: 300 }, (_, place) => `field ${place}`)
  expect([...orderOf(many).places]).toEqual(many.map((name, place) => [name, place]))
})
