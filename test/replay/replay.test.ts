import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { replay } from './replay.ts'
import { readTrace, stepsOf, type Trace } from './trace.ts'
import { ownTraces, typedTrace } from './typing.ts'

const fileOf = (name: string): string => fileURLToPath(new URL(`./traces/${name}.json`, import.meta.url))
const well = { converged: true, matchesEndContent: true, exactParents: true, incidents: [] }

describe.each(ownTraces)('the trace of $name', ({ name, seed, authors, edits }) => {
  const trace = readTrace(fileOf(name))

  test('is what its seed gives', () => {
    expect(JSON.parse(readFileSync(fileOf(name), 'utf8'))).toEqual(typedTrace(seed, authors, edits))
  })

  test.each(['memory', 'socketio'] as const)(
    'ends the same everywhere, commit by commit, over %s',
    { timeout: 60_000 },
    async (transport) => {
      const report = await replay(trace, { transport })
      const replicas = authors === 1 ? 3 : authors + 2
      expect(report).toMatchObject({ ...well, edits, agents: authors, replicas, commits: edits })
      // Nothing leaves out a commit's salt, and each goes to more than one replica.
      expect(report.bytesLog).toBeGreaterThan(edits * 12)
      expect(report.bytesWire).toBeGreaterThan(edits * 24)
    },
  )

  test('ends the same when edits are packed', { timeout: 60_000 }, async () => {
    const report = await replay(trace, { transport: 'memory', every: 7 })
    expect(report).toMatchObject(well)
    // What a commit put in and took out again makes none.
    const steps = stepsOf(trace, 7).length
    expect(report.commits).toBeLessThanOrEqual(steps)
    expect(report.commits).toBeGreaterThan(steps * 0.9)
  })
})

describe('a report', () => {
  const made = (transactions: Trace['transactions'], endContent: string): Trace => ({
    name: 'made',
    kind: 'concurrent',
    agents: 2,
    startContent: '',
    endContent,
    transactions,
  })

  test('tells when the text is not the one of the trace', async () => {
    const trace = made([{ agent: 0, parents: [], patches: [[0, 0, 'ab']] }], 'ba')
    expect(await replay(trace, { transport: 'memory' })).toMatchObject({ ...well, matchesEndContent: false })
  })

  test('tells when an agent held more than the parents', async () => {
    const trace = made(
      [
        { agent: 0, parents: [], patches: [[0, 0, 'a']] },
        { agent: 0, parents: [0], patches: [[1, 0, 'b']] },
        { agent: 0, parents: [0], patches: [[0, 0, 'c']] },
      ],
      'cab',
    )
    expect(await replay(trace, { transport: 'memory' })).toMatchObject({ exactParents: false, converged: true })
  })

  test('counts a transaction that changes nothing as no commit, and goes on from its parents', async () => {
    const trace = made(
      [
        { agent: 0, parents: [], patches: [[0, 0, 'a🧵']] },
        { agent: 0, parents: [0], patches: [[0, 0, 'x']] },
        { agent: 1, parents: [0], patches: [[2, 0, 'y']] },
        { agent: 1, parents: [1, 2], patches: [] },
        { agent: 1, parents: [3], patches: [[2, 1, 'z']] },
      ],
      'xazy',
    )
    expect(await replay(trace, { transport: 'memory' })).toMatchObject({ ...well, commits: 4 })
  })
})

/** The published traces where they are laid beside the repository; packed, so that each takes seconds. Commit by commit: `npm run soak`. */
const published = [
  { name: 'automerge-paper', every: 200 },
  { name: 'friendsforever', every: 40 },
].flatMap(({ name, every }) => {
  const file = fileURLToPath(new URL(`../../../shared/data/${name}.json.gz`, import.meta.url))
  return existsSync(file) ? [{ name, every, file }] : []
})

if (published.length > 0) {
  describe.each(published)('the published trace $name', ({ file, every }) => {
    test('ends the same everywhere, over socket.io', { timeout: 120_000 }, async () => {
      const trace = readTrace(file)
      expect(await replay(trace, { every })).toMatchObject({ ...well, edits: trace.transactions.length })
    })
  })
}
