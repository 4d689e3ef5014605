/** What an audit finds in stores that were made by hand, one thing wrong in each. */
import { deflateRawSync } from 'node:zlib'
import { type AuditReport, audit, limits } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { fromHex } from '../../packages/engine/src/bytes/bytes.ts'
import { crc32c } from '../../packages/engine/src/bytes/crc32c.ts'
import { frameKinds, scan } from '../../packages/engine/src/log/frame.ts'
import { PackedLogWriter } from '../../packages/engine/src/log/packedlog.ts'
import { evidenceName } from '../../packages/engine/src/replica/evidence.ts'
import { encodeSeal } from '../../packages/engine/src/replica/seal.ts'
import { headsRoot } from '../../packages/engine/src/trust/authoritylog.ts'
import { rootPath } from '../../packages/engine/src/trust/entry.ts'
import { encodeEvidence } from '../../packages/engine/src/trust/evidence.ts'
import { Mint, type Person, runtime as plain } from './mint.ts'
import { remembering, sourceOf } from './store.ts'

const path = '/board/roadmap'
const runtime = remembering(plain)

const codes = ({ problems }: AuditReport): string[] => problems.map(({ code }) => code)

const look = (files: ReadonlyMap<string, Uint8Array>, options: Partial<Parameters<typeof audit>[1]> = {}) =>
  audit(sourceOf(files), { runtime, ...options })

/** Ada and Bob, each with two commits in a row, all covered. */
const honest = async (options: Parameters<typeof Mint.open>[0] = {}) => {
  const mint = await Mint.open(options)
  const [ada, bob] = [await mint.person('Ada'), await mint.person('Bob')]
  const [a0, b0] = [await mint.commit(ada, path), await mint.commit(bob, path)]
  mint.store(path, ada, a0, bob, b0)
  mint.store(path, await mint.checkpoint(path, [a0, b0]))
  const a1 = await mint.commit(ada, path, { after: a0 }, { parents: [a0.id] })
  const b1 = await mint.commit(bob, path, { after: b0 })
  mint.store(path, a1, b1)
  mint.store(path, await mint.checkpoint(path, [a1, b1]))
  return { mint, ada, bob, a0, a1, b0, b1 }
}

describe('an honest store', () => {
  test.each([true, false])('is clean, and says who did what; in packs: %s', async (isPacked) => {
    const { mint, bob, b1 } = await honest({ isPacked })
    mint.store(path, await mint.commit(bob, path, { after: b1 }))
    const report = await look(mint.files(), { network: mint.network })
    expect(report.problems).toEqual([])
    expect(report).toMatchObject({ ok: true, network: mint.network, root: { entries: 1 } })
    expect(report.keys.map(({ from, retired }) => [from, retired])).toEqual([[0, null]])
    expect(report.repositories).toMatchObject([
      { path, commits: 5, entries: 2, covered: 4, dead: [], waiting: [], problems: [] },
    ])
    expect(report.people).toMatchObject([
      {
        owner: 'mail:Bob',
        name: 'Bob',
        sessions: 1,
        commits: 3,
        dead: 0,
        repositories: [{ path, commits: 3, changes: 3 }],
      },
      { owner: 'mail:Ada', name: 'Ada', sessions: 1, commits: 2, dead: 0 },
    ])
  })

  test('is not that of another network or key', async () => {
    const { mint } = await honest()
    expect(codes(await look(mint.files(), { network: '1'.repeat(64) }))).toEqual(['WrongNetwork'])
    expect(codes(await look(mint.files(), { key: '1'.repeat(64) }))).toEqual(['WrongKey'])
    const id = (await look(mint.files())).keys[0]?.id ?? ''
    expect(codes(await look(mint.files(), { key: id }))).toEqual([])
  })

  test('[H7] goes on under a new key, and what the old one signed before stays good', async () => {
    const { mint, a1, b1, ada, bob } = await honest()
    const next = await runtime.generateKey()
    mint.store(rootPath, await mint.entry(rootPath, { kind: 'key', publicKey: next.publicKey }))
    const retired = { kind: 'retirement', signer: mint.genesis.signer } as const
    mint.store(rootPath, await mint.entry(rootPath, retired, {}, next))
    const a2 = await mint.commit(ada, path, { after: a1 })
    mint.store(path, a2)
    const moved = [a2].map(({ chain, seq, id }) => ({ chain, seq, id }))
    const root = headsRoot([...moved, { chain: b1.chain, seq: b1.seq, id: b1.id }], runtime.hash)
    const statement = { kind: 'checkpoint', headsRoot: root, stateRoot: null, moved } as const
    mint.store(path, await mint.entry(path, statement, {}, next))
    const report = await look(mint.files())
    expect(report.problems).toEqual([])
    expect(report.keys.map(({ from, retired: at }) => [from, at])).toEqual([
      [0, 2],
      [1, null],
    ])
    // The old key signs once more.
    const b2 = await mint.commit(bob, path, { after: b1 })
    mint.store(path, b2)
    mint.store(
      path,
      await mint.entry(path, { kind: 'verdict', commit: b2.id, key: null, code: 'x', rule: 'x', reason: 'x' }),
    )
    expect(codes(await look(mint.files()))).toEqual(['BadEntry'])
  })
})

describe('what is dead is named with its reason', () => {
  test('[V4] [V8] [V10] a verdict, a fork that a checkpoint decided, the end of a session', async () => {
    const { mint, ada, bob, a1, b1 } = await honest()
    const a2 = await mint.commit(ada, path, { after: a1 })
    const [left, right] = [await mint.commit(bob, path, { after: b1 }), await mint.commit(bob, path, { after: b1 })]
    mint.store(path, a2, left, right)
    const why = { code: 'NotAllowed', rule: '/board/:id', reason: 'spam' }
    mint.store(path, await mint.entry(path, { kind: 'verdict', commit: a2.id, key: 'item', ...why }))
    mint.store(path, await mint.checkpoint(path, [left], [a1, left]))
    mint.store(
      rootPath,
      await mint.entry(rootPath, {
        kind: 'revocation',
        subject: { session: ada.certificate.session },
        reason: 'lost the phone',
      }),
    )
    const a3 = await mint.commit(ada, path, { after: a2 })
    mint.store(path, a3)
    const report = await look(mint.files())
    expect(report.problems).toEqual([])
    const [repository] = report.repositories
    expect(repository?.dead.map(({ commit, owner, code }) => [commit, owner, code])).toEqual([
      [a2.id, 'mail:Ada', 'Voided'],
      [right.id, 'mail:Bob', 'BranchLost'],
      [a3.id, 'mail:Ada', 'Revoked'],
    ])
    expect(repository?.dead[0]?.reason).toContain('spam')
    expect(report.notes.join('\n')).toContain('forked')
    expect(report.people.map(({ owner, dead }) => [owner, dead])).toEqual([
      ['mail:Ada', 2],
      ['mail:Bob', 1],
    ])
  })

  test('a commit that cites what nobody knows waits', async () => {
    const { mint, ada, a1 } = await honest()
    const policy = { root: { epoch: 0, n: 9, hash: '9'.repeat(64) }, authority: a1.policy.authority }
    mint.store(path, await mint.commit(ada, path, { after: a1, policy }))
    const report = await look(mint.files())
    expect(report.problems).toEqual([])
    expect(report.repositories[0]?.waiting.map(({ code }) => code)).toEqual(['BadEntry'])
  })
})

type Made = Awaited<ReturnType<typeof honest>>

/** One thing wrong, and what has to be said. */
const wrongs: Record<string, readonly [spoil: (made: Made) => Promise<void>, code: string]> = {
  'a commit signed by somebody else': [
    async ({ mint, ada, bob, a1 }) =>
      mint.store(
        path,
        await mint.commit({ key: bob.key, certificate: ada.certificate } satisfies Person, path, { after: a1 }),
      ),
    'BadSignature',
  ],
  'a commit of a session without a certificate': [
    async ({ mint }) => mint.store(path, await mint.commit(await mint.person('Eve'), path)),
    'UnknownSession',
  ],
  'a certificate that another key signed': [
    async ({ mint }) => mint.store(path, await mint.person('Eve', await runtime.generateKey())),
    'BadCertificate',
  ],
  'a commit without the one before it': [
    async ({ mint, ada, a1 }) => {
      const gone = await mint.commit(ada, path, { after: a1 })
      mint.store(path, await mint.commit(ada, path, { after: gone }))
    },
    'MissingParents',
  ],
  'a commit whose clock is not later': [
    async ({ mint, ada, a1 }) => mint.store(path, await mint.commit(ada, path, { after: a1, clock: a1.clock })),
    'ClockNotLater',
  ],
  'a commit that cites an older policy': [
    async ({ mint, ada, a1, a0 }) => mint.store(path, await mint.commit(ada, path, { after: a1, policy: a0.policy })),
    'PolicyBack',
  ],
  'a commit of another repository': [
    async ({ mint, ada }) => mint.store(path, await mint.commit(ada, '/board/other')),
    'WrongRepository',
  ],
  'a commit of another network': [
    async ({ mint, ada, a1 }) => mint.store(path, await mint.commit(ada, path, { after: a1, network: '1'.repeat(64) })),
    'WrongNetwork',
  ],
  'a commit twice': [async ({ mint, a1 }) => mint.store(path, a1), 'Repeated'],
  'an entry that another key signed': [
    async ({ mint, a1 }) => {
      const other = await runtime.generateKey()
      const statement = { kind: 'verdict', commit: a1.id, key: null, code: 'x', rule: 'x', reason: 'x' } as const
      mint.store(path, await mint.entry(path, statement, {}, other))
    },
    'BadEntry',
  ],
  'an entry with the wrong signature': [
    async ({ mint, a1 }) => {
      const other = await runtime.generateKey()
      const statement = { kind: 'verdict', commit: a1.id, key: null, code: 'x', rule: 'x', reason: 'x' } as const
      mint.store(path, await mint.entry(path, statement, { signer: mint.genesis.signer }, other))
    },
    'BadSignature',
  ],
  'two entries for one place': [
    async ({ mint, a1, b1 }) =>
      mint.store(path, await mint.checkpoint(path, [a1, b1]).then((entry) => again(mint, entry.statement))),
    'LogForked',
  ],
  'a checkpoint whose heads root is wrong': [
    async ({ mint, ada, a1 }) => {
      const a2 = await mint.commit(ada, path, { after: a1 })
      mint.store(path, a2)
      mint.store(path, await mint.checkpoint(path, [a2]))
    },
    'BadEntry',
  ],
  'a checkpoint over a commit that is not here': [
    async ({ mint, ada, a1, b1 }) => {
      const gone = await mint.commit(ada, path, { after: a1 })
      mint.store(path, await mint.checkpoint(path, [gone], [gone, b1]))
    },
    'MissingCommit',
  ],
  'a verdict on a commit that is not here': [
    async ({ mint }) => {
      const statement = {
        kind: 'verdict',
        commit: '1'.repeat(64),
        key: null,
        code: 'x',
        rule: 'x',
        reason: 'x',
      } as const
      mint.store(path, await mint.entry(path, statement))
    },
    'MissingCommit',
  ],
  'a verdict on an item that the commit does not change': [
    async ({ mint, a1 }) => {
      const statement = { kind: 'verdict', commit: a1.id, key: 'other', code: 'x', rule: 'x', reason: 'x' } as const
      mint.store(path, await mint.entry(path, statement))
    },
    'BadEntry',
  ],
  'an entry that names a root log of a later day': [
    async ({ mint, a1 }) => {
      const statement = { kind: 'verdict', commit: a1.id, key: null, code: 'x', rule: 'x', reason: 'x' } as const
      const root = { epoch: 0, n: 3, hash: '3'.repeat(64) }
      mint.store(path, await mint.entry(path, statement, { root }))
    },
    'BadEntry',
  ],
  'an entry of the root log that another key signed': [
    async ({ mint }) => {
      const other = await runtime.generateKey()
      mint.store(rootPath, await mint.entry(rootPath, { kind: 'rules', version: 1 }, {}, other))
    },
    'BadEntry',
  ],
  'a commit in the root log': [
    async ({ mint, a1 }) => mint.put(rootPath, frameKinds.commit, a1.bytes),
    'WrongRepository',
  ],
  'a pack in the root log': [async ({ mint, a1 }) => mint.store(rootPath, a1), 'WrongRepository'],
  'a frame of a kind that nobody knows': [async ({ mint }) => mint.put(path, 99, new Uint8Array(3)), 'UnknownMessage'],
  'a second header': [async ({ mint }) => mint.put(path, frameKinds.header, mint.header('/board/other')), 'Malformed'],
}

const again = (mint: Mint, statement: Parameters<Mint['entry']>[1]) =>
  mint.entry(path, statement, { n: 1, time: 1_700_000_500_000, prev: '1'.repeat(64) })

describe('one thing wrong', () => {
  test.each(Object.entries(wrongs))('%s', async (_, [spoil, code]) => {
    const made = await honest()
    await spoil(made)
    const report = await look(made.mint.files())
    expect(codes(report)).toContain(code)
    expect(report.ok).toBe(false)
    const [problem] = report.problems
    expect(problem?.offset).toBeGreaterThanOrEqual(0)
    expect(problem?.message).not.toBe('')
  })

  test('the client of a server may have entries before the commits they name', async () => {
    const { mint, ada, a1, b1 } = await honest()
    mint.store(rootPath, ada)
    const gone = await mint.commit(ada, path, { after: a1 })
    mint.store(path, await mint.checkpoint(path, [gone], [gone, b1]))
    expect(codes(await look(mint.files()))).toEqual([])
  })
})

describe('files', () => {
  const damaged = async (change: (bytes: Uint8Array, frames: readonly Uint8Array[]) => Uint8Array) => {
    const { mint } = await honest()
    const files = mint.files()
    const name = Mint.fileName(path)
    const bytes = files.get(name) ?? new Uint8Array(0)
    const { frames } = scan(bytes)
    const parts = frames.map(({ offset }, place) => bytes.subarray(offset, frames[place + 1]?.offset ?? bytes.length))
    return look(new Map([...files, [name, change(bytes, parts)]]))
  }
  const joined = (parts: readonly (Uint8Array | undefined)[]): Uint8Array =>
    new Uint8Array(Buffer.concat(parts.map((part) => part ?? new Uint8Array(0))))

  test('cut anywhere within a frame', async () => {
    const { mint } = await honest()
    const files = mint.files()
    const name = Mint.fileName(path)
    const bytes = files.get(name) ?? new Uint8Array(0)
    const ends = new Set(scan(bytes).frames.map(({ offset }) => offset))
    for (let length = 0; length < bytes.length; length += 1 + (length % 7)) {
      if (ends.has(length) && length > 0) continue
      const report = await look(new Map([...files, [name, bytes.subarray(0, length)]]))
      expect(codes(report), `${length} bytes`).toContain('TornTail')
    }
  }, 30_000)

  test('something appended', async () => {
    expect(codes(await damaged((bytes) => joined([bytes, new Uint8Array(1)])))).toEqual(['TornTail'])
    expect(codes(await damaged((bytes) => joined([bytes, new Uint8Array(40).fill(0xf7)])))).toEqual(['TornTail'])
  })

  test('a frame twice, one left out, two that changed places, something between two', async () => {
    expect(codes(await damaged((_, [header, ...rest]) => joined([header, rest[0], ...rest])))).toEqual(['Repeated'])
    expect(codes(await damaged((_, [header, , ...rest]) => joined([header, ...rest])))).toContain('UnknownSession')
    expect(
      codes(
        await damaged((_, [header, certificate, commit, ...rest]) => joined([header, commit, certificate, ...rest])),
      ),
    ).toContain('UnknownSession')
    expect(codes(await damaged((_, [header, ...rest]) => joined([header, new Uint8Array(3), ...rest])))).toEqual([
      'LogCorrupt',
    ])
    expect(codes(await damaged((_, [, ...rest]) => joined(rest)))).toEqual(['Malformed'])
  })

  test('commits behind one that is lost are told with it, and read where the next ones begin anew', async () => {
    const { mint, ada, a1 } = await honest()
    const next = await mint.commit(ada, path, { after: a1 }, { parents: [a1.id] })
    const [anew] = new PackedLogWriter({ network: mint.network, repository: path }).write([next])
    if (anew === undefined) throw new Error('no frame')
    mint.put(path, anew.kind, anew.payload)
    const files = mint.files()
    const name = Mint.fileName(path)
    const bytes = files.get(name) ?? new Uint8Array(0)
    const { frames } = scan(bytes)
    const packs = frames.filter(({ kind }) => kind === frameKinds.pack)
    const spoiled = bytes.slice()
    const at = (packs[1]?.offset ?? 0) + 20
    spoiled[at] = (spoiled[at] ?? 0) ^ 1
    const report = await look(new Map([...files, [name, spoiled]]))
    const lost = report.problems.filter(({ code }) => code === 'LogCorrupt').map(({ offset }) => offset)
    // The one that is damaged, and two behind it; the last is read, and its parent is not there.
    expect(lost).toEqual([packs[1]?.offset, packs[2]?.offset])
    expect(codes(report)).toContain('MissingParents')
    expect(report.problems.map(({ message }) => message).join()).toContain(`${packs[2]?.offset} to ${packs[3]?.end}`)
    const whole = await look(files)
    expect([whole.problems, whole.repositories[0]?.commits]).toEqual([[], 5])
  })

  test('the header gone: whose commits these are, the first pack says', async () => {
    const { mint } = await honest()
    const name = Mint.fileName(path)
    const bytes = mint.files().get(name) ?? new Uint8Array(0)
    const spoiled = bytes.slice()
    spoiled[20] = (spoiled[20] ?? 0) ^ 1
    const report = await look(new Map([...mint.files(), [name, spoiled]]))
    expect(codes(report)).toEqual(['LogCorrupt', 'Malformed'])
    expect(report.repositories).toMatchObject([{ path, commits: 4 }])
  })

  test('a pack that is none, in a frame that is whole', async () => {
    const { mint } = await honest()
    mint.put(path, frameKinds.pack, Uint8Array.of(2, 0, 0, 0))
    expect(codes(await look(mint.files()))).toEqual(['Malformed', 'LogCorrupt'])
    const { mint: other } = await honest()
    const bomb = deflateRawSync(new Uint8Array(100 * limits.frameBytes))
    const head = Buffer.concat([
      Buffer.from([131]),
      fromHex(other.network),
      Buffer.from([path.length]),
      Buffer.from(path),
    ])
    other.put(path, frameKinds.pack, new Uint8Array(Buffer.concat([head, Buffer.from([128, 128, 64]), bomb])))
    expect(codes(await look(other.files()))).toEqual(['Malformed', 'LogCorrupt'])
    other.put(path, frameKinds.pack, new Uint8Array(Buffer.concat([head, Buffer.from([129, 128, 64]), bomb])))
    expect(codes(await look(other.files()))).toEqual(['Malformed', 'TooLarge', 'LogCorrupt'])
  })

  test('the root log gone, a log under another name, a file that is none of ours', async () => {
    const { mint } = await honest()
    const files = mint.files()
    const name = Mint.fileName(path)
    const bytes = files.get(name) ?? new Uint8Array(0)
    expect(codes(await look(new Map([[name, bytes]])))).toEqual(['LogMissing'])
    const other = Mint.fileName('/board/other')
    expect(
      codes(await look(new Map([...mint.files()].map(([one, all]) => [one === name ? other : one, all])))),
    ).toEqual(['WrongName'])
    expect(codes(await look(new Map([...files, ['notes.txt', bytes]])))).toEqual(['StrayFile'])
    expect(codes(await look(new Map()))).toEqual(['LogMissing'])
  })

  test('what a crash leaves is no problem, and is named', async () => {
    const { mint } = await honest()
    const name = Mint.fileName(path)
    const left = ['=lock.1', `${name}.torn`, `${name}.new`].map((one) => [one, new Uint8Array(9)] as const)
    const report = await look(new Map([...mint.files(), ...left]))
    expect(report.problems).toEqual([])
    expect(report.files.map(({ kind }) => kind).sort()).toEqual(['copy', 'lock', 'log', 'log', 'torn'])
    expect(report.notes.join('\n')).toContain('.torn')
  })

  test('a seal that says what is so is as it should be, and any other is of no use', async () => {
    const { mint } = await honest()
    const name = Mint.fileName(rootPath)
    const log = mint.files().get(name) ?? new Uint8Array(0)
    const of = (size: number, checksum = crc32c(log.subarray(0, size))) => encodeSeal({ size, checksum })
    const notes = async (seal: Uint8Array, file = `${name}.seal`) => {
      const report = await look(new Map([...mint.files(), [file, seal]]))
      expect(report.problems).toEqual([])
      expect(report.files.map(({ kind }) => kind).sort()).toEqual(['log', 'log', 'seal'])
      return report.notes
    }
    expect(await notes(of(log.length))).toEqual([])
    expect(await notes(of(log.length - 1))).toEqual([])
    const unused = [expect.stringContaining('may be deleted')]
    expect(await notes(of(log.length + 1))).toEqual(unused)
    expect(await notes(of(log.length, 1))).toEqual(unused)
    expect(await notes(of(log.length).subarray(1))).toEqual(unused)
    expect(await notes(of(log.length), `${'1'.repeat(64)}.log.seal`)).toEqual(unused)
  })

  test('a frame that a running server is writing is left out; one that stays torn is a problem', async () => {
    const { mint } = await honest()
    const files = mint.files()
    const name = Mint.fileName(path)
    const whole = files.get(name) ?? new Uint8Array(0)
    const cut = new Map([...files, [name, whole.subarray(0, whole.length - 5)]])
    const running = await audit({ ...sourceOf(cut), later: async () => whole }, { runtime })
    expect(running.problems).toEqual([])
    expect(running.notes.join('\n')).toContain('was being written')
    const stuck = await audit({ ...sourceOf(cut), later: async () => whole.subarray(0, whole.length - 5) }, { runtime })
    expect(codes(stuck)).toEqual(['TornTail'])
  })
})

describe('evidence beside the logs', () => {
  test('is checked: its name, its signatures, its network', async () => {
    const { mint, ada } = await honest()
    const [first, second] = [await mint.commit(ada, '/board/a'), await mint.commit(ada, '/board/a')]
    const bytes = encodeEvidence(
      { kind: 'chain', first, second, certificate: ada.certificate },
      mint.root,
      fromHex(mint.network),
    )
    const files = mint.files()
    const kept = await look(new Map([...files, [evidenceName(bytes, runtime), bytes]]))
    expect(kept.problems).toEqual([])
    expect(kept.notes.join('\n')).toContain('proves a fork')
    const renamed = await look(new Map([...files, [`evidence-${'1'.repeat(64)}.cbor`, bytes]]))
    expect(codes(renamed)).toEqual(['WrongName'])
    const nothing = bytes.subarray(2)
    expect(codes(await look(new Map([...files, [evidenceName(nothing, runtime), nothing]])))).toEqual(['Malformed'])
    const other = await honest()
    expect(codes(await look(new Map([...other.mint.files(), [evidenceName(bytes, runtime), bytes]])))).toEqual([
      'WrongNetwork',
    ])
  })
})

describe('an earlier report', () => {
  test('tells a log that was removed, or cut between two frames', async () => {
    const { mint, ada, a1 } = await honest()
    mint.store(path, await mint.commit(ada, path, { after: a1 }))
    const files = mint.files()
    const since = await look(files)
    expect(since.ok).toBe(true)
    expect(codes(await look(files, { since }))).toEqual([])
    const name = Mint.fileName(path)
    const gone = new Map([...files].filter(([one]) => one !== name))
    expect(codes(await look(gone))).toEqual([])
    expect(codes(await look(gone, { since }))).toEqual(['HistoryLost'])
    const bytes = files.get(name) ?? new Uint8Array(0)
    const last = scan(bytes).frames.at(-1)?.offset ?? 0
    const cut = new Map([...files, [name, bytes.subarray(0, last)]])
    expect(codes(await look(cut))).toEqual([])
    expect(codes(await look(cut, { since }))).toEqual(['HistoryLost'])
  })

  test('holds for a log that grew', async () => {
    const { mint, ada, a1 } = await honest()
    const since = await look(mint.files())
    mint.store(path, await mint.commit(ada, path, { after: a1 }))
    expect(codes(await look(mint.files(), { since }))).toEqual([])
  })
})
