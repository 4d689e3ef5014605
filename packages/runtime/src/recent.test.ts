import { expect, test } from 'vitest'
import { Recent } from './recent.ts'

test('it holds its capacity, and what is asked for stays longest', () => {
  const recent = new Recent<number>(3)
  for (const [index, key] of ['a', 'b', 'c'].entries()) recent.set(key, index)
  expect(recent.get('a')).toBe(0)
  recent.set('d', 3)
  expect(recent.size).toBe(3)
  expect(['a', 'b', 'c', 'd'].map((key) => recent.get(key))).toEqual([0, undefined, 2, 3])
  recent.set('a', 9)
  expect(recent.get('a')).toBe(9)
  expect(recent.size).toBe(3)
})
