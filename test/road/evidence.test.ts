/** What proves a fork, who keeps it, and what does not pass for it. */
import { type Commit, Database, type Incident, isRefusal, limits, proveFork } from '@weft-db/engine'
import { memoryKeys } from '@weft-db/runtime/node'
import { memoryFiles } from '@weft-db/storage/memory'
import { describe, expect, test } from 'vitest'
import { fromHex, toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import { Commits } from '../../packages/engine/src/graph/commits.ts'
import { Certificates } from '../../packages/engine/src/replica/certificates.ts'
import { EvidenceStore, type Met } from '../../packages/engine/src/replica/evidence.ts'
import { RootLog } from '../../packages/engine/src/replica/rootlog.ts'
import { RootStore } from '../../packages/engine/src/replica/rootstore.ts'
import { type Entry, rootPath } from '../../packages/engine/src/trust/entry.ts'
import { encodeEvidence, type Fork } from '../../packages/engine/src/trust/evidence.ts'
import { hash, Mint, type Person, runtime } from './mint.ts'

const path = '/board/roadmap'

const started = async () => {
  const mint = await Mint.open()
  const ada = await mint.person('Ada')
  const a0 = await mint.commit(ada, path)
  mint.store(path, ada, a0)
  const held = await mint.checkpoint(path, [a0])
  mint.store(path, held)
  return { mint, ada, a0, held }
}

/** Another entry for the place of one that is stored. */
const insteadOf = (mint: Mint, entry: Entry, by = mint.key, signer = toHex(hash(by.publicKey))): Promise<Entry> =>
  mint.entry(entry.log, entry.statement, { n: entry.n, prev: entry.prev, time: entry.time + 1, signer }, by)

const fork = async (): Promise<{ mint: Mint; ada: Person; log: Fork; chain: Fork; certificate: Fork }> => {
  const { mint, ada, a0, held } = await started()
  const other = await insteadOf(mint, held)
  const second = await mint.commit(ada, path)
  const twin = await mint.person('Ada', mint.key, ada.certificate.number)
  return {
    mint,
    ada,
    log: { kind: 'log', first: held, second: other },
    chain: { kind: 'chain', first: a0, second, certificate: ada.certificate },
    certificate: { kind: 'certificate', first: ada.certificate, second: twin.certificate },
  }
}

describe('evidence', () => {
  test('[H9] proves a forked log, a forked chain and a number given twice with nothing but its bytes, the same from either side', async () => {
    const { mint, log, chain, certificate } = await fork()
    for (const one of [log, chain, certificate]) {
      const bytes = encodeEvidence(one, mint.root, fromHex(mint.network))
      const proved = await proveFork(bytes, runtime)
      if (isRefusal(proved)) throw new Error(proved.about)
      expect(proved.network).toBe(mint.network)
      expect([proved.fork.first.id, proved.fork.second.id]).toEqual([one.first.id, one.second.id].sort())
      // Swapped, it is the same file.
      const swapped = { ...one, first: one.second, second: one.first } as Fork
      expect(encodeEvidence(swapped, mint.root, fromHex(mint.network))).toEqual(bytes)
    }
  })

  test('of which any byte was changed proves nothing', async () => {
    const { mint, log, chain, certificate } = await fork()
    for (const one of [log, chain, certificate]) {
      const bytes = encodeEvidence(one, mint.root, fromHex(mint.network))
      const passed: number[] = []
      for (let at = 0; at < bytes.length; at++) {
        const changed = Uint8Array.from(bytes)
        changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
        if (!isRefusal(await proveFork(changed, runtime))) passed.push(at)
      }
      expect(passed).toEqual([])
    }
  }, 30_000)

  test('does not come from one thing twice, two places, another network, another key, or without the root log', async () => {
    const { mint, ada, log, chain, certificate } = await fork()
    const network = fromHex(mint.network)
    expect(() => encodeEvidence({ ...log, second: log.first } as Fork, mint.root, network)).toThrow()
    const next = await mint.entry(path, {
      kind: 'verdict',
      commit: '1'.repeat(64),
      key: null,
      code: '',
      rule: '',
      reason: '',
    })
    expect(() => encodeEvidence({ ...log, second: next } as Fork, mint.root, network)).toThrow()
    const elsewhere = await mint.commit(ada, '/board/other')
    expect(() => encodeEvidence({ ...chain, second: elsewhere } as Fork, mint.root, network)).toThrow()
    const other = await Mint.open()
    const code = async (bytes: Uint8Array): Promise<string> => {
      const proved = await proveFork(bytes, runtime)
      return isRefusal(proved) ? proved.code : 'proved'
    }
    expect(await code(encodeEvidence(log, other.root, network))).toBe('WrongNetwork')
    expect(await code(encodeEvidence(log, [], network))).toBe('WrongNetwork')
    expect(await code(encodeEvidence(log, mint.root, fromHex(other.network)))).toBe('WrongNetwork')
    // One fork has one file.
    const [pair, swapped] = [log.first, log.second].sort((a, b) => (a.id < b.id ? -1 : 1))
    const whole = [1, 0, network, mint.root.map(({ bytes }) => bytes), null]
    if (pair === undefined || swapped === undefined) throw new Error('two are needed')
    expect(await code(encode([...whole, pair.bytes, swapped.bytes]))).toBe('proved')
    expect(await code(encode([...whole, swapped.bytes, pair.bytes]))).toBe('NotEvidence')
    const stranger = await runtime.generateKey()
    if (log.kind !== 'log' || chain.kind !== 'chain') throw new Error('not these')
    const foreign = await insteadOf(mint, log.first, stranger)
    expect(await code(encodeEvidence({ ...log, second: foreign }, mint.root, network))).toBe('NotEvidence')
    const claimed = await mint.entry(
      path,
      log.first.statement,
      { n: 0, prev: null, time: 1, signer: log.first.signer },
      stranger,
    )
    expect(await code(encodeEvidence({ ...log, second: claimed }, mint.root, network))).toBe('BadSignature')
    for (const other of [await mint.person('Ada'), await mint.person('Eve', mint.key, ada.certificate.number)])
      expect(() => encodeEvidence({ ...certificate, second: other.certificate } as Fork, mint.root, network)).toThrow()
    const eve = await mint.person('Eve')
    const byStranger = await mint.person('Ada', stranger, ada.certificate.number)
    const selfMade = { ...certificate, second: byStranger.certificate } as Fork
    expect(await code(encodeEvidence(selfMade, mint.root, network))).toBe('NotEvidence')
    const posing: Person = { key: eve.key, certificate: chain.certificate }
    const forged: Commit = await mint.commit(posing, path)
    expect(await code(encodeEvidence({ ...chain, second: forged }, mint.root, network))).toBe('BadSignature')
  })
})

/** A replica that holds what was minted, and everything it tells. */
const replicaOf = async (mint: Mint, files = memoryFiles()) => {
  for (const [name, bytes] of mint.files()) {
    const file = await files.open(name, true)
    await file?.write(0, bytes)
    await file?.close()
  }
  const incidents: Incident[] = []
  const database = new Database({
    schemas: [],
    runtime,
    storage: async () => ({ files, keys: memoryKeys(), mode: 'memory', lasting: true }),
  })
  database.onIncident((incident) => incidents.push(incident))
  await database.opened
  const repository = database.repository(path)
  await repository.ready
  const receive = (some: { commits?: Uint8Array[]; entries?: Uint8Array[]; certificates?: Uint8Array[] }) =>
    repository.pipeline.receive({}, { commits: [], entries: [], certificates: [], ...some })
  return { database, incidents, receive, files }
}

const told = (incidents: readonly Incident[]): string[] =>
  incidents.filter(({ code }) => code === 'EvidenceKept').map(({ about }) => about)

describe('a replica keeps it', () => {
  test('[S1] of a log that its authority forked: a file that proves it, named by an incident, once', async () => {
    const { mint, held } = await started()
    const { database, incidents, receive, files } = await replicaOf(mint)
    const other = await insteadOf(mint, held)
    await receive({ entries: [other.bytes] })
    await receive({ entries: [(await insteadOf(mint, { ...held, time: held.time + 5 })).bytes] })
    const kept = await database.evidence()
    expect(told(incidents)).toEqual(kept.map(({ name }) => name))
    expect(kept).toHaveLength(1)
    const proved = await proveFork(kept[0]?.bytes ?? new Uint8Array(0), runtime)
    expect(proved).toMatchObject({ network: mint.network, fork: { kind: 'log' } })
    await database.close()
    // The next run knows what there is.
    const later = await replicaOf(mint, files)
    await later.receive({ entries: [other.bytes] })
    expect(await later.database.evidence()).toEqual(kept)
    expect(told(later.incidents)).toEqual([])
    await later.database.close()
  })

  test('[A6] of a chain that goes on in two ways, met in one message or in two', async () => {
    for (const together of [true, false]) {
      const { mint, ada, a0 } = await started()
      const { database, incidents, receive } = await replicaOf(mint)
      const [left, right] = [await mint.commit(ada, path, { after: a0 }), await mint.commit(ada, path, { after: a0 })]
      const after = await mint.commit(ada, path, { after: left })
      if (together) await receive({ commits: [left.bytes, after.bytes, right.bytes] })
      else {
        await receive({ commits: [left.bytes, after.bytes] })
        await receive({ commits: [right.bytes] })
      }
      const [kept] = await database.evidence()
      const proved = await proveFork(kept?.bytes ?? new Uint8Array(0), runtime)
      if (isRefusal(proved)) throw new Error(`${proved.code} ${proved.about}`)
      expect([proved.fork.first.id, proved.fork.second.id]).toEqual([left.id, right.id].sort())
      expect(told(incidents)).toEqual([kept?.name])
      await database.close()
    }
  })

  test('[E6] without what is erased, from then on: it proves as much', async () => {
    const { mint, ada, a0 } = await started()
    const files = memoryFiles()
    const { database, receive } = await replicaOf(mint, files)
    const [left, right] = [await mint.commit(ada, path, { after: a0 }), await mint.commit(ada, path, { after: a0 })]
    await receive({ commits: [left.bytes, right.bytes] })
    const [before] = await database.evidence()
    const changes = [left, right].flatMap(({ id, changes }) => changes.map(({ key }) => ({ commit: id, key })))
    const entry = await mint.entry(path, { kind: 'erasure', changes, dead: [], by: 'Ada', reason: 'asked for' })
    await receive({ entries: [entry.bytes] })
    const [kept, ...others] = await database.evidence()
    expect([others, kept?.name === before?.name]).toEqual([[], false])
    const proved = await proveFork(kept?.bytes ?? new Uint8Array(0), runtime)
    if (isRefusal(proved) || proved.fork.kind !== 'chain') throw new Error('it proves nothing')
    const { first, second } = proved.fork
    expect([first, second].map(({ id }) => id)).toEqual([left.id, right.id].sort())
    expect([first, second].flatMap((commit) => commit.changes.map(({ erased }) => erased))).toEqual([true, true])
    await database.close()
  })

  test('with the commit that stands in the same place, whatever other branches there are', async () => {
    const { mint, ada, a0 } = await started()
    const commits = new Commits()
    const stage = (commit: Commit): boolean => commits.stage(commit)
    const short = await mint.commit(ada, path, { after: a0 })
    const b1 = await mint.commit(ada, path, { after: a0 })
    const b2 = await mint.commit(ada, path, { after: b1 })
    const b3 = await mint.commit(ada, path, { after: b2 })
    const c3 = await mint.commit(ada, path, { after: b2 })
    expect([a0, short, b1, b2, b3, c3].map(stage)).toEqual([false, false, true, false, false, true])
    expect(commits.rival(b1)?.id).toBe(short.id)
    expect(commits.rival(c3)?.id).toBe(b3.id)
    expect(commits.rival(b2)).toBeUndefined()
  })

  test('not of what a stranger signed', async () => {
    const { mint, held } = await started()
    const { database, incidents, receive } = await replicaOf(mint)
    const stranger = await runtime.generateKey()
    await receive({ entries: [(await insteadOf(mint, held, stranger)).bytes] })
    expect(await database.evidence()).toEqual([])
    expect(told(incidents)).toEqual([])
    await database.close()
  })

  test('of the root log, when what came for a held place was signed by the authority', async () => {
    const { mint } = await started()
    const rules = await mint.entry(rootPath, { kind: 'rules', version: 1 })
    mint.store(rootPath, rules)
    const root = new RootLog(runtime)
    for (const entry of mint.root) root.append(entry)
    const met: Met[] = []
    const store = new RootStore(
      runtime,
      root,
      new Certificates(runtime, root),
      () => undefined,
      (one) => met.push(one),
    )
    const other = await insteadOf(mint, rules)
    const { refused } = await store.take([other.bytes], mint.key.publicKey, undefined)
    expect(refused?.code).toBe('LogForked')
    expect(met).toMatchObject([{ kind: 'log', held: { id: rules.id }, other: { id: other.id } }])

    const told: string[] = []
    const kept = new EvidenceStore(runtime, root, new Certificates(runtime, root), ({ code }) => told.push(code))
    kept.open(memoryFiles())
    // Nobody has looked at its signature yet.
    const stranger = await runtime.generateKey()
    const claimed = await insteadOf(mint, rules, stranger, mint.genesis.signer)
    kept.keep({ kind: 'log', held: rules, other: claimed })
    expect(await kept.list()).toEqual([])
    for (const one of met) kept.keep(one)
    const [file] = await kept.list()
    expect(await proveFork(file?.bytes ?? new Uint8Array(0), runtime)).toMatchObject({
      fork: { first: { log: rootPath } },
    })
    expect(told).toEqual(['EvidenceKept'])
  })

  test(`of at most ${limits.evidenceOfChains} sessions, so that there is room for the authority's`, async () => {
    const { mint, held } = await started()
    const { database, receive } = await replicaOf(mint)
    for (let count = 0; count < limits.evidenceOfChains + 2; count++) {
      const person = await mint.person(`Eve ${count}`)
      const [left, right] = [await mint.commit(person, path), await mint.commit(person, path)]
      await receive({ certificates: [person.certificate.bytes], commits: [left.bytes, right.bytes] })
    }
    expect(await database.evidence()).toHaveLength(limits.evidenceOfChains)
    await receive({ entries: [(await insteadOf(mint, held)).bytes] })
    expect(await database.evidence()).toHaveLength(limits.evidenceOfChains + 1)
    await database.close()
  })
})
