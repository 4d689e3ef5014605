import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { toHex } from '../bytes/bytes.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { Authors, Draw } from './authors.ts'
import { type Commit, type Hash, readCommit, readDecoded } from './commit.ts'
import { type PlainCommit, readPlain } from './plain.ts'

const hash: Hash = (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest())
const context = { network: '11'.repeat(32), repository: '/board/roadmap' }

const shown = (commit: Commit | PlainCommit): string =>
  JSON.stringify({ ...commit, bytes: commit.bytes.length, signature: toHex(commit.signature) })

test('what is read quickly is what the decoder makes of it, and that is nearly everything that is whole', () => {
  const authors = new Authors(7, { hash, ...context })
  let quick = 0
  let usual = 0
  for (let count = 0; count < 1_000; count++) {
    const { id, bytes } = authors.next()
    const decoded = readDecoded(bytes, hash)
    if (isRefusal(decoded)) throw new Error(`${decoded.code} ${decoded.about}`)
    if (!decoded.extended && decoded.changes.every(({ erased }) => !erased)) usual++
    const known = readPlain(bytes, hash, id)
    const read = readPlain(bytes, hash, undefined)
    expect(known === undefined).toBe(read === undefined)
    if (read === undefined || known === undefined) continue
    quick++
    expect([shown(read), shown(known)]).toEqual([shown(decoded), shown(decoded)])
    if (quick < 100) expect(read).toStrictEqual(decoded)
  }
  expect(quick).toBe(usual)
})

/** What makes a head of another, or a text or an order that must not be. */
const odd = [
  0x00, 0x01, 0x17, 0x18, 0x1f, 0x3a, 0x40, 0x58, 0x60, 0x7f, 0x80, 0x81, 0xa0, 0xc2, 0xf4, 0xf6, 0xf7, 0xfb, 0xff,
]

/** Where an id stands with another one behind it, as parents and hashes do. */
const pairs = (bytes: Uint8Array): number[] =>
  [...bytes.keys()].filter(
    (at) => bytes[at] === 0x58 && bytes[at + 1] === 32 && bytes[at + 34] === 0x58 && bytes[at + 35] === 32,
  )

const mutated = (draw: Draw, bytes: Uint8Array): Uint8Array => {
  const copy = bytes.slice()
  const found = draw.chance(10) ? pairs(bytes) : []
  if (found.length > 0) {
    const at = draw.pick(found)
    copy.set(bytes.subarray(at + 34, at + 68), at)
    if (draw.chance(50)) copy.set(bytes.subarray(at, at + 34), at + 34)
    return copy
  }
  for (let times = 1 + draw.int(2); times > 0; times--) {
    const at = draw.int(copy.length)
    const byte = copy[at] ?? 0
    copy[at] = draw.pick([byte ^ (1 << draw.int(8)), byte + 1, byte - 1, draw.pick(odd), draw.int(256)])
  }
  if (draw.chance(80)) return copy
  const [from, to, at] = [draw.int(copy.length), draw.int(copy.length), draw.int(copy.length)]
  return new Uint8Array([
    ...copy.subarray(0, at),
    ...copy.subarray(Math.min(from, to), Math.max(from, to)),
    ...copy.subarray(at),
  ])
}

test('[A2] what the decoder refuses is not read quickly either, whoever vouches for its hashes', () => {
  const seed = 11
  const draw = new Draw(seed)
  const authors = new Authors(seed, { hash, ...context })
  let accepted = 0
  let refused = 0
  for (let count = 0; count < 500; count++) {
    const { id, bytes } = authors.next()
    for (let times = 0; times < 40; times++) {
      const other = mutated(draw, bytes)
      const decoded = readDecoded(other, hash, id)
      const read = readPlain(other, hash, id)
      if (isRefusal(decoded)) refused++
      else accepted++
      if (read === undefined) continue
      if (isRefusal(decoded)) throw new Error(`seed ${seed}, ${decoded.code} ${decoded.about}: ${toHex(other)}`)
      expect(shown(read)).toBe(shown(decoded))
    }
  }
  expect(Math.min(accepted, refused)).toBeGreaterThan(5_000)
})

test('a record is named by what is in it, also when that is not what its header says', () => {
  const authors = new Authors(3, { hash, ...context })
  const draw = new Draw(3)
  for (let count = 0; count < 400; count++) {
    const { id, bytes } = authors.next()
    const other = bytes.slice()
    const at = draw.int(other.length)
    other[at] = (other[at] ?? 0) ^ (1 << draw.int(8))
    const [read, decoded] = [readPlain(other, hash, undefined), readDecoded(other, hash)]
    if (read !== undefined) expect(read).toStrictEqual(decoded)
    expect(readCommit(other, hash)).toStrictEqual(decoded)
    expect(readCommit(bytes, hash)).toMatchObject({ id })
  }
})
