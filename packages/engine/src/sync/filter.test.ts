import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { encodeUtf8, fromHex, toHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { densePositions, exactFilter, filterBytes, hits, makeFilter, mostTips, refuseFilter } from './filter.ts'
import { fingerprint } from './fingerprint.ts'

const hash = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
const idOf = (text: string) => toHex(hash(encodeUtf8(text)))
const saltOf = (text: string) => hash(encodeUtf8(`salt ${text}`)).slice(0, 16)
const ids = (name: string, count: number) => Array.from({ length: count }, (_, i) => idOf(`${name} ${i}`))

test('what is in a filter hits it; of what is not, about 0.8 % do, in small filters too', () => {
  for (const count of [1, 5, 20, 100, 1_000]) {
    let wrong = 0
    let asked = 0
    for (let salt = 0; salt < 20; salt++) {
      const inside = ids(`in ${count}`, count)
      const filter = makeFilter(inside, saltOf(`${count} ${salt}`), hash)
      expect(filter.bits.length).toBe(filterBytes(count))
      expect(refuseFilter(filter)).toBeUndefined()
      expect(inside.every((id) => hits(filter, id, hash))).toBe(true)
      for (const id of ids(`out ${count}`, 500)) if (hits(filter, id, hash)) wrong++
      asked += 500
    }
    expect(wrong / asked, `${count} tips`).toBeLessThan(0.02)
  }
})

test('[S4] ids mined against one salt hit others no more than any: every round draws its own', () => {
  const inside = ids('in', 200)
  const first = makeFilter(inside, saltOf('first'), hash)
  const mined = ids('candidate', 20_000)
    .filter((id) => hits(first, id, hash))
    .slice(0, 100)
  expect(mined.length).toBe(100)
  let wrong = 0
  for (let round = 0; round < 50; round++) {
    const filter = makeFilter(inside, saltOf(`round ${round}`), hash)
    for (const id of mined) if (hits(filter, id, hash)) wrong++
  }
  expect(wrong / 5_000).toBeLessThan(2 * 0.0082)
})

test('[S6] twice as dense, hardly anything hits that is not in it', () => {
  const inside = ids('in', 500)
  const outside = ids('out', 20_000)
  const sparse = makeFilter(inside, saltOf('dense'), hash)
  const dense = makeFilter(inside, saltOf('dense'), hash, densePositions)
  expect([sparse.bits.length, dense.bits.length]).toEqual([625, 1_250])
  expect([refuseFilter(sparse), refuseFilter(dense)]).toEqual([undefined, undefined])
  expect(inside.every((id) => hits(dense, id, hash))).toBe(true)
  expect(outside.filter((id) => hits(dense, id, hash)).length).toBeLessThan(10)
  expect(outside.filter((id) => hits(sparse, id, hash)).length).toBeGreaterThan(80)
  // Neither passes for the other, and a dense one is no larger than any.
  expect(refuseFilter({ ...sparse, hashes: densePositions })?.code).toBe('Malformed')
  expect(refuseFilter({ ...dense, hashes: 7 })?.code).toBe('Malformed')
  expect(makeFilter(ids('many', mostTips / 2 + 1), saltOf(''), hash, densePositions).hashes).toBe(7)
})

test('[S6] a filter without bits is hit by nothing, and stands for too many tips', () => {
  expect(hits(exactFilter(saltOf('')), idOf('x'), hash)).toBe(false)
  expect(refuseFilter(exactFilter(saltOf('')))).toBeUndefined()
  expect(filterBytes(mostTips) * 8).toBeLessThanOrEqual(limits.filterBits + 7)
  const tooMany = Array.from({ length: mostTips + 1 }, () => 'never read')
  expect(makeFilter(tooMany, saltOf(''), hash).bits.length).toBe(0)
})

test('the fingerprint is the hash of the sorted tips, whatever their order', () => {
  const heads = ids('head', 5).map((id, i) => ({ chain: idOf(`chain ${i % 3}`) + '00'.repeat(8), seq: 300 - i, id }))
  const expected = hash(
    fromHex(
      heads
        .map((head) => head.chain + head.seq.toString(16).padStart(8, '0') + head.id)
        .sort()
        .join(''),
    ),
  )
  expect(toHex(fingerprint(heads, hash))).toBe(toHex(expected))
  expect(toHex(fingerprint([...heads].reverse(), hash))).toBe(toHex(expected))
  expect(toHex(fingerprint(heads.slice(1), hash))).not.toBe(toHex(expected))
  expect(toHex(fingerprint([], hash))).toBe(toHex(hash(new Uint8Array(0))))
})
