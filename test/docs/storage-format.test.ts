/**
 * docs/storage-format.md is enough to read a store: a reader in plain JavaScript, written from it alone, finds in logs that the engine wrote the
 * commits that the engine finds, and in the place of dropped ones the values that somebody has who dropped nothing.
 */

import { isRefusal, logName, readCommit } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { expect, test } from 'vitest'
import { fromHex } from '../../packages/engine/src/bytes/bytes.ts'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import { Authors, Draw } from '../../packages/engine/src/commit/authors.ts'
import { bearsSignature } from '../../packages/engine/src/commit/run.ts'
import { encodeFrame, frameKinds, scan } from '../../packages/engine/src/log/frame.ts'
import { PackedLogReader, PackedLogWriter } from '../../packages/engine/src/log/packedlog.ts'
import { boardOf, closed, live, rules } from '../road/drawn.ts'
import { board, Card, Lab, type Replica } from '../road/lab.ts'
import { filesOf, makeStore } from '../road/store.ts'
import { Stream } from '../sim/random.ts'
import { plainly, sorted } from './plain-state.ts'
import { crc32c, readLog } from './storage-reader.mjs'

const { hash } = nodeRuntime()

const idsIn = (log: Uint8Array): string[] => {
  const packs = new PackedLogReader(hash)
  return scan(log).frames.flatMap((frame) => {
    const records = packs.records(frame)
    if (isRefusal(records)) return []
    // What nothing behind it in the frame vouches for was never acknowledged.
    return records.slice(0, records.findLastIndex(bearsSignature) + 1).map((bytes) => {
      const commit = readCommit(bytes, hash)
      if (isRefusal(commit)) throw new Error(commit.code)
      return commit.id
    })
  })
}

test('the checksum is CRC-32C', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
})

test('a reader written from the docs alone finds the commits of a real store', async () => {
  const store = await makeStore(20)
  try {
    let count = 0
    for (const [name, bytes] of await filesOf(store.server)) {
      if (!name.endsWith('.log')) continue
      const { network, path, ids, damage, torn } = readLog(Buffer.from(bytes))
      expect(ids).toEqual(idsIn(bytes))
      expect([network, damage, torn]).toEqual([path === '/sys' ? null : store.network, [], false])
      count += ids.length
    }
    expect(count).toBe(80)
  } finally {
    await store.remove()
  }
}, 30_000)

test('and those of whoever writes as no replica would, erased contents and damage included', () => {
  const context = { network: '5'.repeat(64), repository: '/board/odd' }
  for (let seed = 1; seed <= 20; seed++) {
    const draw = new Draw(seed)
    const authors = new Authors(seed, { ...context, hash })
    const writer = new PackedLogWriter(context)
    const header = encode([1, fromHex(context.network), context.repository, draw.bytes(16)])
    const frames = [encodeFrame(frameKinds.header, header)]
    for (let append = 0; append < 30; append++) {
      for (const { kind, payload } of writer.write(authors.some(draw.pick([1, 2, 7, 90]))))
        frames.push(encodeFrame(kind, payload))
      if (draw.chance(30)) frames.push(encodeFrame(frameKinds.known, Uint8Array.of(0xf7, 0xe5, 0xe6, 0xf7, 0xe5, 0xe6)))
    }
    const log = Buffer.concat(frames)
    const { ids, path } = readLog(log)
    expect([path, ids.length > 300], `seed ${seed}`).toEqual([context.repository, true])
    expect(ids, `seed ${seed}`).toEqual(idsIn(log))
    // What is damaged takes along what builds on it, and the reader goes on behind.
    const at = 200 + draw.int(log.length - 200)
    log[at] = (log[at] ?? 0) ^ 4
    const damaged = readLog(log)
    expect(damaged.ids, `seed ${seed}, byte ${at}`).toEqual(idsIn(log))
    expect(damaged.damage.length + Number(damaged.torn), `seed ${seed}, byte ${at}`).toBe(1)
  }
})

/** What the reader says of a device's log is what the authority knows, who dropped nothing. Returns how much there was. */
const compare = async (lab: Lab, authority: Replica): Promise<ReturnType<typeof readLog>> => {
  const file = await lab
    .device('ada')
    .disk.files()
    .open(logName(board, lab.runtime('ada')), false)
  const log = readLog(Buffer.from((await file?.read(0, await file.size())) ?? []))
  const { floor, commits } = log
  if (floor === undefined) throw new Error('nothing was dropped')
  const { counting, pipeline } = boardOf(authority)
  for (const { schema, key, changes, clock, isDeleted, fields } of floor.items) {
    const item = counting.items.get(schema)?.open(key)
    const last = item?.graph.indexOf(changes.at(-1) ?? '')
    if (item === undefined || last === undefined) throw new Error(`nobody knows ${key}`)
    expect(sorted({ isDeleted, fields }), key).toEqual(plainly(item.at([last])))
    expect(item.graph.node(last).clock).toBe(clock)
  }
  for (const { id, root, authority: cited, ...place } of floor.dropped) {
    const commit = pipeline.commits.get(id)
    expect(commit).toMatchObject(place)
    expect(commit?.policy.root).toMatchObject(root ?? {})
    if (cited === null) expect(commit?.policy.authority).toBe(null)
    else expect(commit?.policy.authority).toMatchObject(cited)
  }
  // All that is not in the log is in the floor, and of what is in both it says so.
  const laid = new Map(floor.items.map(({ schema, key, clock }) => [`${schema} ${key}`, clock]))
  const held = new Map(commits.map((commit) => [commit.id, commit]))
  for (let index = 0; index < pipeline.commits.size; index++) {
    const commit = pipeline.commits.at(index)
    if (commit === undefined) throw new Error('the authority dropped something')
    const isBelow = commit.seq <= (floor.floors[commit.chain] ?? -1)
    const inFloor = commit.changes.map(
      ({ key, schema }) => isBelow && commit.clock <= (laid.get(`${schema.hash} ${key}`) ?? -1),
    )
    const { id, chain, seq, clock } = commit
    const changes = commit.changes.map(({ key, schema, parents }, place) => {
      return { schema: schema.hash, key, parents, isInFloor: inFloor[place] }
    })
    if (held.has(id)) expect(held.get(id)).toMatchObject({ chain, seq, clock, changes })
    else expect(inFloor).toEqual(changes.map(() => true))
  }
  return log
}

test('it finds what stands in the place of dropped commits, and what came back of them', async () => {
  const found = { items: 0, deleted: 0, collections: 0, kept: 0, unsigned: 0, recalled: 0 }
  for (let seed = 0; seed < 4; seed++) {
    const lab = new Lab(`floor ${seed}`)
    const stream = new Stream(`floor ${seed}`, 'steps')
    const authority = await lab.authority({ rules })
    const offlineWindow = 60_000
    const options = { rules, offlineWindow }
    const [ada, bob] = [await lab.join('ada', options), await lab.join('bob', { rules })]
    for (const person of [ada, bob]) boardOf(person)
    await live(lab, [ada, bob], stream, 60)
    lab.disconnect('bob')
    for (const { notes, tags } of boardOf(bob).query(Card).current ?? []) {
      notes.insert(0, 'late ')
      tags.add('late')
      await lab.run(300)
    }
    await live(lab, [ada], stream, 40)
    await lab.run(2 * offlineWindow)
    await closed(lab, ada)
    const again = await lab.join('ada', options)
    await boardOf(again).ready
    await lab.run(10_000)
    await closed(lab, again)
    const { floor, commits } = await compare(lab, authority)
    const isBelow = ({ chain, seq }: { chain: string; seq: number }): boolean => seq <= (floor?.floors[chain] ?? -1)
    const kept = commits.filter(isBelow)
    found.items += floor?.items.length ?? 0
    found.deleted += floor?.items.filter(({ isDeleted }) => isDeleted).length ?? 0
    found.collections += floor?.items.filter(({ changes }) => changes.length > 1).length ?? 0
    found.kept += kept.length
    found.unsigned += kept.filter(({ isSigned }) => !isSigned).length
    // Bob comes back, and with him what he wrote to is wanted.
    const third = await lab.join('ada', options)
    lab.connect('bob')
    await lab.until(() => boardOf(third).pipeline.rewriting.hasRecalled)
    await lab.run(1_000)
    lab.kill('ada')
    const later = await compare(lab, authority)
    found.recalled += (floor?.items.length ?? 0) - (later.floor?.items.length ?? 0)
  }
  for (const [what, count] of Object.entries(found)) expect(count, what).toBeGreaterThan(0)
}, 60_000)
