import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { type Grouped, WeakPlaces, WeakValues } from './weakvalues.ts'

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')
/** What a weak reference was asked for stays until the turn is over. */
const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

class Thing implements Grouped {
  group: object | undefined
  readonly place: number

  constructor(place: number) {
    this.place = place
  }
}

const placesIn = (values: Iterable<Thing>): number[] => [...values].map(({ place }) => place)

test('what has a place is found there, each for itself', () => {
  const things = new WeakPlaces<Thing>(20)
  const made = [0, 1, 7, 8, 19].map((place) => new Thing(place))
  for (const thing of made) things.set(thing.place, thing)
  for (const thing of made) expect(things.get(thing.place)).toBe(thing)
  for (const place of [-1, 2, 9, 18, 20, 1_000]) expect(things.get(place)).toBe(undefined)
  expect(placesIn(things.values())).toEqual([0, 1, 7, 8, 19])
})

test('of places, those stay whose group has one that somebody holds, and no others', async () => {
  const things = new WeakPlaces<Thing>(64)
  for (let place = 0; place < 64; place++) things.set(place, new Thing(place))
  const held = [things.get(10), things.get(41)]
  await nextTurn()
  collect()
  expect(placesIn(things.values())).toEqual([8, 9, 10, 11, 12, 13, 14, 15, 40, 41, 42, 43, 44, 45, 46, 47])
  expect(held).toEqual([things.get(10), things.get(41)])
  // A place that was left is taken again.
  const again = new Thing(3)
  things.set(3, again)
  expect(things.get(3)).toBe(again)
  expect(things.get(4)).toBe(undefined)
})

test('by key, each stays for itself', async () => {
  const things = new WeakValues<Thing>()
  for (let place = 0; place < 5; place++) things.set(`thing ${place}`, new Thing(place))
  const held = things.get('thing 3')
  await nextTurn()
  collect()
  expect(placesIn(things.values())).toEqual([3])
  expect([things.get('thing 2'), things.get('thing 3')]).toEqual([undefined, held])
})
