import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isRefusal } from '../bytes/refusal.ts'
import type { Head } from '../graph/commits.ts'
import { AuthorityLog, headsRoot } from './authoritylog.ts'
import { type Entry, type EntryBody, encodeEntry, readEntry, type Statement } from './entry.ts'
import { sealBody } from './signed.ts'

const hash = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
const path = '/board/roadmap'
const hex = (digit: string, bytes = 32) => digit.repeat(2 * bytes)
const headOf = (digit: string, seq: number): Head => ({
  chain: hex(digit, 40),
  seq,
  id: hex(digit, 31) + seq.toString(16).padStart(2, '0'),
})

const entryOf = (log: AuthorityLog, statement: Statement, change: Partial<EntryBody> = {}): Entry => {
  const body: EntryBody = {
    network: hex('1'),
    log: path,
    epoch: 0,
    n: log.next,
    prev: log.position?.hash ?? null,
    root: { epoch: 0, n: log.next, hash: hex('2') },
    time: 5,
    signer: hex('3'),
    statement,
    ...change,
  }
  const entry = readEntry(sealBody(encodeEntry(body), new Uint8Array(64), hash).bytes, hash)
  if (isRefusal(entry)) throw new Error(entry.code)
  return entry
}
const covering = (log: AuthorityLog, moved: readonly Head[], change?: Partial<EntryBody>): Entry =>
  entryOf(log, { kind: 'checkpoint', headsRoot: log.rootWith(moved, hash), stateRoot: null, moved }, change)
const verdict: Statement = { kind: 'verdict', commit: hex('a'), key: null, code: 'Voided', rule: 'r', reason: 'why' }
const codeOf = (log: AuthorityLog, entry: Entry) => {
  const why = log.check(entry, hash)
  return isRefusal(why) ? why.code : why
}
const grown = (...moves: readonly (readonly Head[])[]): AuthorityLog => {
  const log = new AuthorityLog(path)
  for (const moved of moves) {
    const entry = covering(log, moved)
    expect(log.check(entry, hash)).toBe(undefined)
    log.append(entry)
  }
  return log
}

test('the heads root is the same in any order, and another for any other head', () => {
  const head = fc.tuple(fc.constantFrom('1', '2', '3'), fc.nat(200)).map(([digit, seq]) => headOf(digit, seq))
  fc.assert(
    fc.property(fc.array(head, { maxLength: 6 }), fc.nat(5), (heads, which) => {
      const root = headsRoot(heads, hash)
      expect(headsRoot(heads.toReversed(), hash)).toBe(root)
      expect(
        headsRoot(
          heads.toSorted((a, b) => a.seq - b.seq),
          hash,
        ),
      ).toBe(root)
      const changed = heads.map((one, index) => (index === which ? { ...one, seq: one.seq + 1 } : one))
      if (which < heads.length) expect(headsRoot(changed, hash)).not.toBe(root)
    }),
    { seed: 2, numRuns: 200 },
  )
  expect(headsRoot([], hash)).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
})

describe('a log', () => {
  test('takes what follows, once, and tells a fork from what it holds', () => {
    const log = grown([headOf('1', 3)], [headOf('2', 0)])
    const next = entryOf(log, verdict)
    expect(codeOf(log, next)).toBe(undefined)
    log.append(next)
    expect(codeOf(log, next)).toBe('held')
    expect(codeOf(log, entryOf(log, { ...verdict, reason: 'other' }, { n: 2, prev: log.entries[1]?.id ?? null }))).toBe(
      'LogForked',
    )
    expect(log.position).toEqual({ epoch: 0, n: 2, hash: next.id })
  })

  test.each<[string, Partial<EntryBody>, string]>([
    ['of another log', { log: '/board/other' }, 'WrongRepository'],
    ['after a gap', { n: 3 }, 'BadEntry'],
    ['on another entry', { prev: hex('f') }, 'BadEntry'],
    ['of another epoch', { epoch: 1 }, 'BadEntry'],
    ['with an older root position', { root: { epoch: 0, n: 0, hash: hex('2') } }, 'BadEntry'],
  ])('refuses an entry %s', (_, change, code) => {
    const log = grown([headOf('1', 3)], [headOf('2', 0)])
    expect(codeOf(log, entryOf(log, verdict, change))).toBe(code)
  })

  test('refuses a checkpoint that names another root, a chain twice, or one that goes back', () => {
    const log = grown([headOf('1', 3)], [headOf('2', 0)])
    const wrong: Statement = { kind: 'checkpoint', headsRoot: hex('0'), stateRoot: null, moved: [headOf('1', 4)] }
    expect(codeOf(log, entryOf(log, wrong))).toBe('BadEntry')
    expect(codeOf(log, covering(log, [headOf('1', 4), headOf('1', 5)]))).toBe('BadEntry')
    expect(codeOf(log, covering(log, [headOf('1', 3)]))).toBe('BadEntry')
    expect(codeOf(log, covering(log, [headOf('1', 2)]))).toBe('BadEntry')
    expect(codeOf(log, covering(log, [headOf('1', 4), headOf('3', 0)]))).toBe(undefined)
  })

  test('knows a position by its epoch, its place and its hash', () => {
    const log = grown([headOf('1', 3)])
    const { position } = log
    if (position === null) throw new Error('no position')
    expect(log.knows(position)).toBe(true)
    expect(log.knows(null)).toBe(true)
    // Who cites an epoch that is to come, and is believed, forbids everybody to build on it.
    expect(log.knows({ ...position, epoch: 9 })).toBe(false)
    expect(log.knows({ ...position, n: 1 })).toBe(false)
    expect(log.knows({ ...position, hash: hex('0') })).toBe(false)
  })

  test('H6: a guest’s grant uses the invitation up, once for each', () => {
    const log = grown()
    const invitation: Statement = {
      kind: 'invitation',
      secret: hex('7'),
      role: 'editor',
      expires: 9,
      uses: 2,
      by: 'ada',
    }
    const guest = (owner: string): Statement => ({
      kind: 'grant',
      owner,
      role: 'editor',
      by: 'ada',
      fences: false,
      founding: false,
      invitation: hex('7'),
    })
    const left = [invitation, guest('bob'), guest('carol'), guest('dave')].map((statement) => {
      log.append(entryOf(log, statement))
      return log.invitation(hex('7'))?.statement.uses
    })
    expect(left).toEqual([2, 1, undefined, undefined])
    log.truncate(2)
    expect(log.invitation(hex('7'))).toEqual({ n: 0, statement: { ...invitation, uses: 1 } })
  })

  test('[V11] a verdict on what a checkpoint covers has no effect', () => {
    const log = grown([headOf('1', 3)])
    const [covered, late] = [headOf('1', 2), headOf('1', 4)]
    for (const { id } of [covered, late]) log.append(entryOf(log, { ...verdict, commit: id }))
    log.append(covering(log, [headOf('1', 5)]))
    expect(log.verdictOn(covered, ['item'])).toBe(undefined)
    expect(log.verdictOn(late, ['item'])?.from).toBe(2)
  })

  test('is after a truncation what it was before', () => {
    const moves = [[headOf('1', 3)], [headOf('2', 0), headOf('1', 5)], [headOf('1', 6)]]
    for (let n = 0; n <= 4; n++) {
      const log = grown(...moves)
      log.truncate(n)
      const again = grown(...moves.slice(0, n))
      expect(log.position).toEqual(again.position)
      expect([...log.covered]).toEqual([...again.covered])
      expect(codeOf(log, covering(log, [headOf('1', 9)]))).toBe(undefined)
    }
  })
})

describe('a new epoch', () => {
  const epoch: Statement = { kind: 'epoch', lost: { epoch: 0, n: 4 }, reason: 'a disk' }
  const begins = (log: AuthorityLog, n: number, change: Partial<EntryBody> = {}): Entry =>
    entryOf(log, epoch, {
      epoch: 1,
      n,
      prev: log.entries[n - 1]?.id ?? null,
      root: { epoch: 0, n, hash: hex('2') },
      ...change,
    })
  const three = (): AuthorityLog => grown([headOf('1', 0)], [headOf('1', 1)], [headOf('2', 0)])

  test('[R3] stands right behind the last entry that is kept, under a number above all before it', () => {
    const log = three()
    expect(codeOf(log, begins(log, 3))).toBe(undefined)
    expect(codeOf(log, begins(log, 1))).toBe(undefined)
    expect(codeOf(log, begins(log, 1, { prev: hex('7') }))).toBe('BadEntry')
    expect(codeOf(log, begins(log, 5, { prev: hex('7') }))).toBe('BadEntry')
    expect(codeOf(log, begins(log, 0, { prev: null }))).toBe('BadEntry')
    expect(codeOf(log, begins(log, 3, { epoch: 0 }))).toBe('BadEntry')
    expect(codeOf(log, entryOf(log, verdict, { epoch: 1 }))).toBe('BadEntry')
    expect(codeOf(log, begins(log, 1, { epoch: 0 }))).toBe('LogForked')
    log.append(begins(log, 3))
    expect(codeOf(log, entryOf(log, verdict, { epoch: 1 }))).toBe(undefined)
    expect(codeOf(log, begins(log, 3, { time: 6 }))).toBe('LogForked')
  })

  test('[R4] leaves out what stood there: it is covered no more, proves no fork, and is read as the last entry kept', () => {
    const log = three()
    const [kept, , left] = log.entries
    if (kept === undefined || left === undefined) throw new Error('three entries')
    const cited = { epoch: 0, n: 2, hash: left.id }
    expect(log.placeOf(cited)).toBe(2)
    log.append(begins(log, 1))
    expect([...log.covered.values()]).toEqual([headOf('1', 0)])
    expect(codeOf(log, left)).toBe('held')
    expect(log.knows(cited)).toBe(true)
    expect([log.placeOf(cited), log.cited(cited), log.cited(null)]).toEqual([0, 0, -1])
    expect(log.knows({ epoch: 0, n: 0, hash: hex('9') })).toBe(false)
    expect(log.knows({ epoch: 1, n: 7, hash: hex('9') })).toBe(false)
    expect(log.placeOf({ epoch: 0, n: 0, hash: kept.id })).toBe(0)
    expect([log.startAfter(0), log.startAfter(1)]).toEqual([1, undefined])
  })

  test('[R3] may begin with any entry where nothing was kept', () => {
    const log = three()
    const alone = covering(new AuthorityLog(path), [headOf('3', 5)], { epoch: 1 })
    expect(codeOf(log, alone)).toBe(undefined)
    log.append(alone)
    expect([...log.covered.values()]).toEqual([headOf('3', 5)])
  })
})
