import { expect, test } from 'vitest'
import { Rests } from './rests.ts'

/** Timers that fire when the test says so. */
const timers = () => {
  const armed = new Set<() => void>()
  const timer = (_: number, run: () => void): (() => void) => {
    armed.add(run)
    return () => void armed.delete(run)
  }
  return { armed, rests: new Rests({ timer }) }
}

const isOver = async (rest: Promise<void>): Promise<boolean> => {
  let over = false
  void rest.then(() => {
    over = true
  })
  for (let turns = 0; turns < 5; turns++) await undefined
  return over
}

test('a rest is over when the timer says so', async () => {
  const { armed, rests } = timers()
  const rest = rests.rest()
  expect(await isOver(rest)).toBe(false)
  for (const run of armed) run()
  expect(await isOver(rest)).toBe(true)
  expect(rests.isOver).toBe(false)
})

test('who waits for the end waits for no timer: one that is armed is let go of, and no other is', async () => {
  const { armed, rests } = timers()
  const rest = rests.rest()
  rests.end()
  expect(await isOver(rest)).toBe(true)
  expect(await isOver(rests.rest())).toBe(true)
  expect([rests.isOver, armed.size]).toEqual([true, 0])
})
