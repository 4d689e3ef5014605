import { expect, test } from 'vitest'
import { limits } from '../bytes/limits.ts'
import { Shunned } from './shunned.ts'

const most = { now: 0, random: (below: number) => below - 1 }
const least = { now: 0, random: () => 0 }

test('the pause doubles with each failure in a row, has a longest, and ends with a link', () => {
  const shunned = new Shunned()
  const lengths: number[] = []
  for (let now = 0; lengths.length < 9; now += 10_000_000) {
    shunned.add('a', 'unreachable', { ...most, now })
    let length = 0
    while (shunned.has('a', now + length)) length += 5_000
    lengths.push(length / 1_000)
  }
  expect(lengths).toEqual([15, 30, 60, 120, 240, 480, 600, 600, 600])
  shunned.forgive('a')
  shunned.add('a', 'unreachable', most)
  expect([shunned.has('a', 14_999), shunned.has('a', 15_001)]).toEqual([true, false])
})

test('jitter takes up to half of it', () => {
  const shunned = new Shunned()
  shunned.add('a', 'unanswered', least)
  expect([shunned.has('a', 1_999), shunned.has('a', 2_000)]).toEqual([true, false])
})

test('distrust outlasts what else goes wrong', () => {
  const shunned = new Shunned()
  shunned.add('a', 'distrusted', most)
  shunned.add('a', 'gone', { ...most, now: 10_000 })
  expect(shunned.distrusts('a', 1_000_000)).toBe(true)
  shunned.add('b', 'gone', most)
  expect(shunned.distrusts('b', 1)).toBe(false)
})

test('it remembers limits.meshShunned members', () => {
  const shunned = new Shunned()
  for (let member = 0; member < limits.meshShunned * 3; member++) shunned.add(String(member), 'unanswered', most)
  expect(shunned.size).toBe(limits.meshShunned)
  expect(shunned.has(String(limits.meshShunned * 3 - 1), 1)).toBe(true)
  expect(shunned.has('0', 1)).toBe(false)
})
