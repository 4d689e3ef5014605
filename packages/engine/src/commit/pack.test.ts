import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { encodeUtf8, equalBytes, toHex } from '../bytes/bytes.ts'
import { decode, encode, type Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { Authors, Draw } from './authors.ts'
import {
  type Commit,
  composeCommit,
  type Draft,
  type Hash,
  type Header,
  readCommit,
  readDecoded,
  sealCommit,
} from './commit.ts'
import type { Operation } from './operation.ts'
import { headerStart, outlineOf } from './outline.ts'
import type { Packed, Unpacked } from './pack.ts'
import { PackReader } from './packreader.ts'
import { PackWriter } from './packwriter.ts'

const hash: Hash = (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest())
const context = { network: '11'.repeat(32), repository: '/board/roadmap' }
const plenty = { commits: 100_000, bytes: 1e9 }

const listOf = (plain: Plain | undefined): Plain[] => {
  if (!Array.isArray(plain)) throw new Error('not a list')
  return [...plain]
}
const bytesOf = (plain: Plain | undefined): Uint8Array => {
  if (!(plain instanceof Uint8Array)) throw new Error('not bytes')
  return plain
}
const plainOf = (bytes: Uint8Array): Plain => {
  const plain = decode(bytes)
  if (isRefusal(plain)) throw new Error(plain.code)
  return plain
}

const unpacked = (reader: PackReader, pack: Uint8Array): Unpacked[] => {
  const read = reader.unpack(pack)
  if (isRefusal(read)) throw new Error(`${read.code}: ${read.about}`)
  return read
}

const shown = (commit: Commit): string =>
  JSON.stringify({ ...commit, bytes: toHex(commit.bytes), signature: toHex(commit.signature) })

/** Nothing is taken for computed or read that comes out otherwise when it is computed and read again. */
const mustBeHashed = (read: readonly Unpacked[]): number => {
  for (const { bytes, commit } of read) {
    if (commit === undefined) continue
    const again = readDecoded(bytes, hash)
    if (isRefusal(again)) throw new Error(`${again.code} ${again.about}: ${toHex(bytes)}`)
    expect(shown(commit)).toBe(shown(again))
  }
  const hashed = read.filter((one) => one.hashed !== undefined)
  for (const one of hashed) {
    const again = readCommit(one.bytes, hash)
    // Not everything that is unpacked is a commit; what is not is refused either way, for the same reason.
    const known = readCommit(one.bytes, hash, one.hashed)
    if (isRefusal(again) || isRefusal(known)) expect(known).toEqual(again)
    else expect([again.id, known.id]).toEqual([one.hashed, one.hashed])
  }
  return hashed.length
}

/** Whether nothing about the record takes a closer look. */
const isUsual = (record: Uint8Array): boolean => {
  const commit = readDecoded(record, hash)
  if (isRefusal(commit) || commit.extended || commit.changes.some(({ erased }) => erased)) return false
  return commit.network === context.network && commit.repository === context.repository
}

const mustBeSame = (read: readonly Packed[], records: readonly Packed[]): void => {
  expect(read.length).toBe(records.length)
  for (const [at, { id, bytes }] of records.entries()) {
    const other = read[at]
    if (other === undefined || other.id !== id || !equalBytes(other.bytes, bytes))
      throw new Error(`record ${at}\n${toHex(bytes)}\n${toHex(other?.bytes ?? new Uint8Array(0))}`)
  }
}

const writer = () => new PackWriter(context)
const reader = (most = plenty) => new PackReader(context, hash, most)
const fresh = (records: readonly Packed[]): Uint8Array => writer().pack(records)
const sizeOf = (records: readonly Packed[]): number => records.reduce((sum, { bytes }) => sum + bytes.length, 0)

describe('packs', () => {
  test('give every record byte for byte, through tables that live long and through new ones, and nearly all as they read', () => {
    let usual = 0
    let known = 0
    for (let seed = 1; seed <= 40; seed++) {
      const draw = new Draw(seed)
      const authors = new Authors(seed, { ...context, hash })
      const [long, other] = [writer(), reader()]
      for (let batch = 0; batch < 12; batch++) {
        const records = authors.some(draw.pick([0, 1, 1, 2, 30]))
        if (draw.chance(5)) long.reset()
        const pack = long.pack(records)
        try {
          const read = unpacked(other, pack)
          mustBeSame(read, records)
          mustBeHashed(read)
          usual += read.filter(({ bytes }) => isUsual(bytes)).length
          known += read.filter(({ commit }) => commit !== undefined).length
          mustBeSame(unpacked(reader(), fresh(records)), records)
        } catch (error) {
          throw new Error(`seed ${seed}, batch ${batch}`, { cause: error })
        }
        expect(pack.length).toBeLessThanOrEqual(3 + sizeOf(records) + 10 * records.length)
      }
    }
    expect(usual).toBeGreaterThan(1_000)
    expect(known).toBe(usual)
  })

  test('are made of records that are read', () => {
    const authors = new Authors(3, { ...context, hash })
    const codes = new Map<string, number>()
    for (const { id, bytes } of authors.some(400)) {
      const isSigned = bytesOf(listOf(plainOf(bytes))[1]).length === 64
      const read = readCommit(isSigned ? bytes : signedRecord(bytes), hash)
      const code = isRefusal(read) ? read.code : read.id === id ? 'read' : 'other'
      codes.set(code, (codes.get(code) ?? 0) + 1)
    }
    expect([...codes]).toEqual([['read', 400]])
  })

  test('leave tables the same on both sides when all of them are full', () => {
    const authors = new Authors(9, { ...context, hash })
    const many = new ManyNames()
    const [long, other] = [writer(), reader()]
    for (let batch = 0; batch < 30; batch++) {
      const records = [...many.some(200), ...authors.some(10), ...many.again(20)]
      mustBeSame(unpacked(other, long.pack(records)), records)
    }
    expect(many.made).toBeGreaterThan(limits.packRecent + 1_000)
    expect(many.chains).toBeGreaterThan(limits.packChains + 100)
    expect(many.names).toBeGreaterThan(limits.packNames)
  }, 60_000)

  test('name operations by a pattern as long as it is short enough', () => {
    // An operation takes six bytes, the list two.
    const most = Math.floor((limits.packPattern - 2) / 6)
    for (const length of [most, most + 1]) {
      const names = Array.from({ length }, (_, at) => `f${at}`.padEnd(3, 'x'))
      const records = [0, 1].map((seq) => {
        const operations = names.map((field): Operation => ({ kind: 'assign', field, value: seq }))
        const draft = {
          key: `item ${seq}`,
          parents: [],
          schema: { name: 's', version: 1, hash: '55'.repeat(32) },
          operations,
        }
        const fields = { ...someHeader(0, null, seq), incarnation: `0${seq}`.repeat(8) }
        return sealCommit(composeCommit(fields, [{ ...draft, salt: new Uint8Array(12) }], hash), new Uint8Array(0))
      })
      const pack = writer().pack(records)
      mustBeSame(unpacked(reader(), pack), records)
      // Beside the first commit the second takes a value for each operation, or a code and a value.
      const alone = writer().pack(records.slice(0, 1)).length
      const second = pack.length - alone
      if (length === most) expect(second).toBeLessThan(1.5 * length)
      else expect(second).toBeGreaterThan(1.5 * length)
    }
  })
})

const signedRecord = (bytes: Uint8Array): Uint8Array => {
  const [header, , changes] = listOf(plainOf(bytes))
  return encode([header ?? null, new Uint8Array(64), changes ?? null])
}

const someHeader = (seq: number, prev: string | null, clock: number): Header => ({
  ...context,
  session: '77'.repeat(32),
  incarnation: '88'.repeat(8),
  seq,
  prev,
  clock,
  policy: {
    root: { epoch: 0, n: 5, hash: '44'.repeat(32) },
    authority: { epoch: 0, n: 40, hash: '45'.repeat(32) },
  },
  atomic: false,
  extended: false,
})

/** Commits of so many chains, items, schemas, fields and positions that the tables forget. */
class ManyNames {
  made = 0
  readonly #ids: string[] = []
  readonly #chains = new Map<number, { seq: number; id: string }>()
  readonly #names = new Set<string>()
  readonly #salt = new Uint8Array(12)

  #one(chain: number, item: number): Packed {
    const last = this.#chains.get(chain)
    const at = this.made++
    const name = (at % 5_100).toString(16)
    const fields: Header = {
      ...someHeader(last === undefined ? 0 : last.seq + 1, last?.id ?? null, at * 99),
      session: toHex(hash(encodeUtf8(`session ${chain % 1_300}`))),
      incarnation: toHex(hash(encodeUtf8(`chain ${chain}`))).slice(0, 16),
      policy: { root: { epoch: 0, n: at % 300, hash: '44'.repeat(32) }, authority: null },
    }
    const parents = [...new Set([this.#ids[at - 1] ?? '', this.#ids[at - 4_096] ?? '', this.#ids[at - 4_097] ?? ''])]
    this.#names.add(`schema ${at % 290}`)
    const draft: Draft = {
      key: `item ${item}`,
      parents: parents.filter((id) => id !== '').sort(),
      schema: { name: `schema ${at % 290}`, version: 1, hash: '55'.repeat(32) },
      operations: [
        { kind: 'assign', field: `field ${name}`, value: 1 },
        { kind: 'splice', field: `field ${at % 270}`, at: 3, remove: 1, length: 0, insert: '' },
      ].slice(at % 3 === 0 ? 0 : 1, at % 2 === 0 ? 2 : 1) as Operation[],
      salt: this.#salt,
    }
    const sealed = sealCommit(composeCommit(fields, [draft], hash), new Uint8Array(0))
    this.#ids.push(sealed.id)
    this.#chains.set(chain, { seq: fields.seq, id: sealed.id })
    return sealed
  }

  get chains(): number {
    return this.#chains.size
  }

  get names(): number {
    return this.#names.size
  }

  some(count: number): Packed[] {
    return Array.from({ length: count }, () => this.#one(this.made % 1_500, this.made % 5_000))
  }

  /** Commits to what the tables may have just forgotten, or not. */
  again(count: number): Packed[] {
    const made = this.made
    return Array.from({ length: count }, (_, at) => {
      const back = [1, 254, 255, 256, 257, 1_023, 1_024, 1_025, 4_095, 4_096, 4_097][at % 11] ?? 1
      const place = Math.max(0, made - back)
      return this.#one(place % 1_500, place % 5_000)
    })
  }
}

describe('a pack from a stranger', () => {
  /** Packs before, and one whose bytes are spoilt. */
  const cases = [5, 6].map((seed) => {
    const authors = new Authors(seed, { ...context, hash })
    const long = writer()
    const before = long.pack(authors.some(15))
    const records = authors.some(5)
    return { seed, before, pack: long.pack(records), records }
  })

  /** The same packs are read thousands of times. */
  const known = new Map<string, Uint8Array>()
  const remembered: Hash = (bytes) => {
    const key = Buffer.from(bytes).toString('latin1')
    const hashed = known.get(key) ?? hash(bytes)
    known.set(key, hashed)
    return hashed
  }

  const outcome = (before: Uint8Array, pack: Uint8Array) => {
    const other = new PackReader(context, remembered, plenty)
    unpacked(other, before)
    return other.unpack(pack)
  }

  test('with any byte of it another is refused, or differs in a signature or in one that is carried whole', () => {
    const start = headerStart(context.network, context.repository)
    const unsigned = (bytes: Uint8Array): string => {
      const [header, , changes] = listOf(plainOf(bytes))
      return toHex(encode([header ?? null, changes ?? null]))
    }
    let slipped = 0
    for (const { seed, before, pack, records } of cases) {
      const whole = records.filter(({ bytes }) => outlineOf(bytes, start) === undefined)
      let accepted = 0
      for (let at = 0; at < pack.length; at++) {
        for (const mask of [1, 0xff]) {
          const spoilt = pack.slice()
          spoilt[at] = (spoilt[at] ?? 0) ^ mask
          const read = outcome(before, spoilt)
          if (isRefusal(read)) continue
          accepted++
          const isSame = ({ id, bytes }: Packed, place: number): boolean => {
            const sent = records[place]
            if (sent?.id !== id) return false
            return whole.includes(sent) || unsigned(bytes) === unsigned(sent.bytes)
          }
          if (read.length !== records.length || !read.every(isSame)) slipped++
          if (read.every(({ bytes }, place) => equalBytes(bytes, records[place]?.bytes ?? pack)))
            throw new Error(`seed ${seed}: byte ${at} says nothing`)
        }
      }
      expect(accepted).toBeGreaterThan(0)
      expect(accepted).toBeLessThanOrEqual(2 * (64 * records.length + sizeOf(whole)))
    }
    // The check has 16 bits, and some thousand packs were read.
    expect(slipped).toBeLessThanOrEqual(1)
  }, 60_000)

  test('that is cut, or goes on, is refused', () => {
    for (const { before, pack } of cases) {
      for (let length = 0; length < pack.length; length++) {
        const read = outcome(before, pack.subarray(0, length))
        if (!isRefusal(read)) throw new Error(`the first ${length} bytes`)
        expect(read.code).toBe('Malformed')
      }
      expect(outcome(before, new Uint8Array([...pack, 0]))).toMatchObject({ code: 'Malformed' })
      expect(outcome(before, new Uint8Array([...pack, ...pack.subarray(1)]))).toMatchObject({ code: 'Malformed' })
    }
  })

  test('of random bytes, or with random bytes in it, is never more than allowed, and nothing is thrown', () => {
    const most = { commits: 20, bytes: 60_000 }
    let hashed = 0
    for (let seed = 1; seed <= 2_000; seed++) {
      const draw = new Draw(seed)
      const { before, pack } = draw.pick(cases)
      const spoilt = draw.chance(30) ? draw.bytes(draw.int(200)) : pack.slice()
      for (let times = draw.int(6); times > 0; times--) {
        const at = draw.int(spoilt.length)
        if (draw.chance(50)) spoilt.copyWithin(at, draw.int(spoilt.length), draw.int(spoilt.length))
        else spoilt[at] = draw.pick([0, 1, 2, 64, 127, 128, 192, 255])
      }
      spoilt[0] = draw.pick([2, 3])
      const other = reader(most)
      if (!draw.chance(20)) other.unpack(before)
      const read = other.unpack(spoilt)
      if (!isRefusal(read) && (read.length > 20 || sizeOf(read) > 60_000)) throw new Error(`seed ${seed}`)
      if (!isRefusal(read)) hashed += mustBeHashed(read)
      if (isRefusal(read)) expect(['Malformed', 'TooLarge', 'TooMany']).toContain(read.code)
    }
    expect(hashed).toBeGreaterThan(50)
  })

  test('says all that is wrong with it in time, and then everything is refused', () => {
    const authors = new Authors(12, { ...context, hash })
    const [long, other] = [writer(), reader()]
    const [first, missed, next] = [long.pack(authors.some(5)), long.pack(authors.some(1)), long.pack(authors.some(5))]
    expect(reader().unpack(missed)).toMatchObject({ code: 'Malformed' })
    unpacked(other, first)
    expect(other.unpack(next)).toMatchObject({ code: 'Malformed' })
    for (const pack of [missed, first]) expect(other.unpack(pack)).toMatchObject({ code: 'Malformed' })
    expect(outcome(first, first.with(0, 2))).toMatchObject({ code: 'Malformed' })
    expect(reader().unpack(first.with(0, 5))).toMatchObject({ code: 'Malformed' })
  })
})
