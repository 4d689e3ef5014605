/** What an audit says of snapshots: of those that replicas made, and of such that say something else than their logs. */
import { type AuditReport, audit } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { describe, expect, test } from 'vitest'
import { concatBytes } from '../../packages/engine/src/bytes/bytes.ts'
import { crc32c } from '../../packages/engine/src/bytes/crc32c.ts'
import { scan } from '../../packages/engine/src/log/frame.ts'
import {
  encodeSnapshotEnd,
  readSnapshot,
  type Snapshot,
  snapshotStart,
} from '../../packages/engine/src/replica/snapshot.ts'
import { Stream } from '../sim/random.ts'
import { boardOf, closed, codesIn, late, live, rules, scene } from './drawn.ts'
import { Card, type Lab, Note } from './lab.ts'
import { sourceOf } from './store.ts'

describe('an audit compares a snapshot with its log', () => {
  /** Signatures are the lab's own. */
  const runtime = { ...nodeRuntime(), verify: () => Promise.resolve(true) }

  const found = (files: ReadonlyMap<string, Uint8Array>, schemas = [Card]): Promise<AuditReport> =>
    audit(sourceOf(files), { runtime, schemas })

  const filesOf = async (lab: Lab, name: string): Promise<Map<string, Uint8Array>> => {
    const files = lab.device(name).disk.files()
    const found = new Map<string, Uint8Array>()
    for (const name of await files.list()) {
      const file = await files.open(name, false)
      found.set(name, (await file?.read(0, await file.size())) ?? new Uint8Array(0))
    }
    return found
  }

  /** With a checksum that is right. */
  const sealed = (bytes: Uint8Array): Uint8Array => {
    const whole = bytes.slice()
    new DataView(whole.buffer).setUint32(whole.length - 4, crc32c(whole.subarray(0, -4)), true)
    return whole
  }

  for (let seed = 0; seed < 8; seed++)
    test(`and finds nothing in what replicas stored, drawn with seed ${seed}`, async () => {
      const { lab, people, authority, snapshot } = await scene(`audited ${seed}`)
      const stream = new Stream(`audited ${seed}`, 'steps')
      await live(lab, people, stream, 50)
      const [ada, bob] = people
      if (ada === undefined || bob === undefined) throw new Error('nobody')
      await closed(lab, ada)
      const early = (await filesOf(lab, 'ada')).get(snapshot) ?? new Uint8Array(0)
      if (seed % 2 === 1) await authority.database.revoke({ owner: bob.database.person?.owner ?? '' }, 'left')
      const again = await lab.join('ada', { rules })
      await lab.run(2_000)
      await live(lab, [again, bob], stream, 10)
      for (const one of [again, bob, authority]) await closed(lab, one)
      for (const name of ['ada', 'bob', 'authority']) {
        const files = await filesOf(lab, name)
        expect(files.get(snapshot)?.length ?? 0).toBeGreaterThan(500)
        for (const schemas of [[Card], []]) {
          const { problems, notes } = await found(files, schemas)
          expect([name, problems, notes.filter((note) => note.includes(snapshot))]).toEqual([name, [], []])
        }
        if (name === 'ada') expect((await found(files.set(snapshot, early))).problems).toEqual([])
      }
    }, 60_000)

  /** Ada's files, with a change of Bob's that counts. */
  const closedFiles = async (seed: string, steps = 40) => {
    const { lab, people, snapshot } = await scene(seed)
    await live(lab, people, new Stream(seed, 'steps'), steps)
    const [ada] = people
    if (ada === undefined) throw new Error('nobody')
    await closed(lab, ada)
    const files = await filesOf(lab, 'ada')
    return { files, snapshot, whole: files.get(snapshot) ?? new Uint8Array(0) }
  }

  const read = (bytes: Uint8Array): Snapshot => {
    const snapshot = readSnapshot(bytes)
    if (snapshot === undefined) throw new Error('no snapshot')
    return snapshot
  }

  const written = (snapshot: Snapshot): Uint8Array => {
    const before = concatBytes(snapshotStart, ...snapshot.shelves.flatMap(({ blocks }) => blocks))
    const shelves = snapshot.shelves.map(({ schemaHash, hashes, blocks }) => ({
      schemaHash,
      hashes: [...hashes],
      lengths: blocks.map(({ length }) => length),
    }))
    return concatBytes(before, encodeSnapshotEnd({ ...snapshot, shelves }, crc32c(before)))
  }

  const abouts = ({ problems }: AuditReport): string[] => problems.map(({ code, about }) => `${code}: ${about}`)

  test('byte by byte, also where the checksum is right', async () => {
    const { files, snapshot, whole } = await closedFiles('flipped')
    const rest = new DataView(whole.buffer, whole.byteOffset).getUint32(whole.length - 8, true)
    const app = whole.length - 8 - rest
    const seen = { wrong: 0, unused: 0, byValue: 0 }
    for (let at = 0; at < whole.length - 4; at += at < app ? 1 : 11) {
      // What the app is takes its rules to know.
      if (at >= app && at < app + 32) continue
      const other = whole.slice()
      other[at] = (other[at] ?? 0) ^ (1 << (at % 8))
      const report = await found(files.set(snapshot, sealed(other)))
      const isUnused = report.notes.some((note) => note.startsWith(`${snapshot} is not used`))
      expect([at, report.problems.map(({ code, file }) => `${code} ${file}`), isUnused]).toEqual(
        isUnused ? [at, [], true] : [at, [`SnapshotWrong ${snapshot}`], false],
      )
      if (isUnused) seen.unused++
      else seen.wrong++
      // Without the schema nobody knows what a change comes to.
      if (report.problems[0]?.about.endsWith('its value') && (await found(files, [])).problems.length === 0)
        seen.byValue++
    }
    expect(seen.wrong).toBeGreaterThan(3 * seen.unused)
    expect(seen.byValue).toBeGreaterThan(5)
  }, 60_000)

  test('and tells one that rotted from one that was not finished', async () => {
    const { files, snapshot, whole } = await closedFiles('rotten')
    const rotten = whole.slice()
    rotten[30] = (rotten[30] ?? 0) ^ 1
    expect(abouts(await found(files.set(snapshot, rotten)))).toEqual([
      'SnapshotWrong: its bytes are not those that were written',
    ])
    for (let length = 0; length < whole.length; length += 7) {
      const { problems, notes } = await found(files.set(snapshot, whole.slice(0, length)))
      expect([length, problems]).toEqual([length, []])
      expect(notes.join()).toContain('it was not finished')
    }
    const log = snapshot.slice(0, -'.snapshot'.length)
    const older = files.set(snapshot, whole).get(log) ?? new Uint8Array(0)
    const [last] = scan(older).frames.slice(-1)
    const { problems, notes } = await found(new Map(files).set(log, older.slice(0, last?.offset)))
    expect([problems, notes.join()]).toEqual([[], expect.stringContaining('it is of another state of the log')])
    const alone = new Map([...files].filter(([name]) => name !== log))
    expect((await found(alone)).notes.join()).toContain('there is no log that it could be of')
  })

  test('and misses what it neither has nor lists', async () => {
    const { lab, snapshot } = await (async () => {
      const made = await scene('odd')
      const [, bob] = made.people
      if (bob === undefined) throw new Error('nobody')
      for (let step = 0; step < 12; step++) boardOf(bob).create(Card, { title: `first ${step}` })
      boardOf(bob).create(Note, { title: 'of a schema that Ada does not know' })
      await made.lab.run(5_000)
      return made
    })()
    lab.kill('ada')
    const disk = lab.device('ada').disk
    await disk.files().remove(snapshot)
    const ada = await lab.start('ada', { rules, transports: [], schemas: [Card] })
    boardOf(ada)
    await lab.run(500)
    await closed(lab, ada)
    const files = await filesOf(lab, 'ada')
    const made = read(files.get(snapshot) ?? new Uint8Array(0))
    expect([made.odd.length, abouts(await found(files))]).toEqual([1, []])
    const cases: [Snapshot, string][] = [
      [{ ...made, odd: [] }, 'is not in it'],
      [{ ...made, odd: [...made.odd, ...made.odd] }, 'is not there or counts'],
      [{ ...made, odd: [{ number: 0, changes: [0] }, ...made.odd] }, 'is not there or counts'],
      [{ ...made, odd: [...made.odd, { number: 99, changes: [0] }] }, 'is not there or counts'],
      [{ ...made, shelves: [] }, 'is not in it'],
      [{ ...made, shelves: [...made.shelves, ...made.shelves] }, 'named twice'],
      [{ ...made, clock: made.clock + 1 }, 'its clock'],
    ]
    for (const [wrong, about] of cases)
      expect(abouts(await found(files.set(snapshot, written(wrong))))).toEqual([expect.stringContaining(about)])
  })

  test('and finds what counts in it and was ended before', async () => {
    const { lab, snapshot, ended, id } = await late('audited late')
    const before = read((await filesOf(lab, 'ada')).get(snapshot) ?? new Uint8Array(0))
    await Promise.all([ended(), lab.run(1_000)])
    const there = await lab.join('ada', { rules })
    boardOf(there)
    await lab.until(() => codesIn(there, id).includes('RevokedBeforeSync'))
    await closed(lab, there)
    const files = await filesOf(lab, 'ada')
    const after = read(files.get(snapshot) ?? new Uint8Array(0))
    expect([after.odd.length, abouts(await found(files))]).toEqual([2, []])
    const { shelves, odd } = before
    expect(abouts(await found(files.set(snapshot, written({ ...after, shelves, odd }))))).toEqual([
      `SnapshotWrong: item card0: the change of commit ${id} does not count as it was made`,
    ])
    // At its own time it was right.
    expect(abouts(await found(files.set(snapshot, written(before))))).toEqual([])
  })
})
