/** The log of a repository as packs: what replicas write and open, what damage takes, and what an erasure leaves. */
import { type Database, erase, logName, type Repository, type Rules, read, readCommit, write } from '@weft-db/engine'
import { expect, test } from 'vitest'
import { isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import { encodeFrame, type Frame, frameKinds, scan } from '../../packages/engine/src/log/frame.ts'
import { PackedLogReader } from '../../packages/engine/src/log/packedlog.ts'
import { filesWith } from '../attacks/rows/erasure.ts'
import { sha256 } from '../sim/shelf.ts'
import { board, Card, Lab, outcomeOf, type Replica } from './lab.ts'

const rules: Rules = [
  read('/board/:id', () => true),
  write('/board/:id', () => true),
  erase('/board/:id', ({ session }) => session !== undefined),
]

const boardOf = ({ database }: { readonly database: Database }): Repository => database.repository(board)
const cardOf = (replica: Replica, key: string) => {
  const card = boardOf(replica).item(Card, key)
  if (card === null || card === undefined) throw new Error(`${replica.name} has no ${key}`)
  return card
}

const heldBy = ({ database }: { readonly database: Database }): string[] => {
  const { commits } = boardOf({ database }).pipeline
  return Array.from({ length: commits.size }, (_, index) => commits.at(index)?.id ?? '')
}

const logOf = (lab: Lab, name: string): { readonly name: string; readonly bytes: Uint8Array } => {
  const file = logName(board, lab.runtime('reader'))
  return { name: file, bytes: lab.device(name).disk.stored().get(file) ?? new Uint8Array(0) }
}

const recordsIn = (frames: readonly Frame[]): Uint8Array[] => {
  const reader = new PackedLogReader(sha256)
  return frames.flatMap((frame) => {
    const records = reader.records(frame)
    if (isRefusal(records)) throw new Error(`${records.code} ${records.about}`)
    return records
  })
}

const idOf = (record: Uint8Array): string => {
  const commit = readCommit(record, sha256)
  return isRefusal(commit) ? commit.code : commit.id
}

const isDeflated = ({ kind, payload }: Frame): boolean => kind === frameKinds.pack && (payload[0] ?? 0) >= 128

const stop = async (lab: Lab, { name, database }: Replica): Promise<void> => {
  const closed = database.close()
  await lab.run(500)
  await closed
  lab.kill(name)
}

/** Other bytes in the file of a device that is not running. */
const put = async (lab: Lab, device: string, name: string, bytes: Uint8Array): Promise<void> => {
  const files = lab.device(device).disk.files()
  const done = (async () => {
    const file = await files.open(name, true)
    await file?.truncate(0)
    await file?.write(0, bytes)
    await file?.sync()
    await file?.close()
    await files.syncNames()
  })()
  await lab.run(100)
  await done
}

const secret = 'zebracorn'
const chapter = (at: number): string => `chapter ${at}: ${'over and under goes the weft, '.repeat(60)}. `

const founded = async (seed: string) => {
  const lab = new Lab(seed)
  const authority = await lab.authority({ rules })
  const ada = await lab.join('ada', { rules })
  boardOf(ada)
  await lab.run(500)
  return { lab, authority, ada }
}

test('a log holds every commit once, in packs, in the order of admission; what comes at once is one frame, and long ones are deflated', async () => {
  const { lab, authority, ada } = await founded('packs')
  for (let index = 0; index < 60; index++) boardOf(ada).create(Card, { title: `card ${index}` })
  await lab.run(2_000)
  const card = boardOf(ada).create(Card, { title: 'long' }, { key: 'long' })
  for (let at = 0; at < 4; at++) {
    card.notes.insert(card.notes.length, chapter(at))
    await lab.run(1_000)
  }
  for (const replica of [authority, ada]) {
    const { frames } = scan(logOf(lab, replica.name).bytes)
    expect(frames.filter(({ kind }) => kind === frameKinds.commit)).toEqual([])
    expect(recordsIn(frames).map(idOf)).toEqual(heldBy(replica))
    expect(frames.filter(isDeflated).length).toBeGreaterThan(3)
  }
  expect(heldBy(ada).length).toBeGreaterThan(4)
})

test('a log of frames with a commit each, as they were before there were packs, is opened and goes on in packs', async () => {
  const { lab, ada } = await founded('old')
  for (let index = 0; index < 5; index++) {
    boardOf(ada).create(Card, { title: `card ${index}` }, { key: `${index}` })
    await lab.run(400)
  }
  const held = heldBy(ada)
  await stop(lab, ada)
  const { name, bytes } = logOf(lab, 'ada')
  const reader = new PackedLogReader(sha256)
  const old = scan(bytes).frames.flatMap((frame) => {
    const records = reader.read(frame)
    if (isRefusal(records)) throw new Error(records.code)
    if (frame.kind !== frameKinds.pack) return [encodeFrame(frame.kind, frame.payload)]
    return records.map((record) => encodeFrame(frameKinds.commit, record.bytes))
  })
  await put(lab, 'ada', name, new Uint8Array(Buffer.concat(old)))
  const again = await lab.client('ada', { rules })
  boardOf(again)
  await lab.run(1_000)
  expect(heldBy(again)).toEqual(held)
  cardOf(again, '3').title = 'changed'
  await lab.run(1_000)
  const { frames } = scan(logOf(lab, 'ada').bytes)
  expect(new Set(frames.map(({ kind }) => kind))).toContain(frameKinds.pack)
  expect(recordsIn(frames).map(idOf)).toEqual(heldBy(again))
  expect(heldBy(again).length).toBeGreaterThan(held.length)
})

test('damage takes the commits that build on it; it is reported with how much that is, and all of it comes back from peers', async () => {
  const { lab, authority, ada } = await founded('damage')
  const write = async (from: number, to: number, who: Replica) => {
    for (let index = from; index < to; index++) {
      boardOf(who).create(Card, { title: `card ${index}` }, { key: `${index}` })
      await lab.run(400)
    }
  }
  await write(0, 8, ada)
  await stop(lab, ada)
  const second = await lab.client('ada', { rules })
  boardOf(second)
  await lab.run(500)
  await write(8, 12, second)
  const held = heldBy(second)
  await stop(lab, second)

  const { name, bytes } = logOf(lab, 'ada')
  const { frames } = scan(bytes)
  const packs = frames.filter(({ kind }) => kind === frameKinds.pack)
  const anew = packs.findIndex(({ payload }, at) => at > 0 && (payload[0] ?? 0) % 2 === 1)
  const hit = packs[3]
  const [next, last] = [packs[4], packs[anew - 1]]
  if (hit === undefined || next === undefined || last === undefined || anew < 7) throw new Error('too few packs')
  const spoiled = bytes.slice()
  spoiled[hit.offset + 15] = (spoiled[hit.offset + 15] ?? 0) ^ 8
  await put(lab, 'ada', name, spoiled)
  lab.disconnect('ada')
  const third = await lab.start('ada', { rules })
  boardOf(third)
  await lab.run(500)
  const told = third.incidents.filter(({ code }) => code === 'LogCorrupt').map(({ about }) => about)
  expect(told[0]).toBe(`${name} ${hit.offset}-${hit.end}`)
  // Other frames may stand between those that are lost, so that there is more than one hole.
  expect(told[1]?.startsWith(`${name} ${next.offset}-`)).toBe(true)
  expect(told.at(-1)?.endsWith(`-${last.end}`)).toBe(true)
  // Each of these packs has one commit; what a later start began anew is read.
  const lost = new Set(held.slice(3, anew))
  expect(heldBy(third)).toEqual(held.filter((id) => !lost.has(id)))
  await stop(lab, third)

  const fourth = await lab.client('ada', { rules })
  boardOf(fourth)
  await lab.run(5_000)
  expect(heldBy(fourth).sort()).toEqual(heldBy(authority).sort())
  const after = scan(logOf(lab, 'ada').bytes).frames
  const reader = new PackedLogReader(sha256)
  const read = after.flatMap((frame) => {
    const records = reader.records(frame)
    return isRefusal(records) ? [] : records
  })
  expect(new Set(read.map(idOf))).toEqual(new Set(held))
})

test('[E6] after an erasure no frame holds the content, deflated or not, and what built on frames that had it is read', async () => {
  const { lab, authority, ada } = await founded('erased')
  const bob = await lab.join('bob', { rules })
  boardOf(bob)
  const card = boardOf(ada).create(Card, { title: 'one' }, { key: 'gone' })
  const other = boardOf(ada).create(Card, { title: 'two' }, { key: 'kept' })
  for (let at = 0; at < 5; at++) {
    card.notes.insert(card.notes.length, `${chapter(at)} ${secret} ${chapter(at)}`)
    await lab.run(700)
    other.notes.insert(other.notes.length, chapter(at))
    await lab.run(700)
  }
  const all = [authority, ada, bob]
  for (const { name } of all) {
    expect(filesWith(lab, name, [secret]).length).toBeGreaterThan(0)
    // In the bytes as they are it does not stand: who searches has to inflate.
    const { bytes } = logOf(lab, name)
    expect([name, Buffer.from(bytes).includes(secret)]).toEqual([name, false])
    expect(scan(bytes).frames.filter(isDeflated).length).toBeGreaterThan(8)
  }
  const erased = outcomeOf(boardOf(ada).erase(cardOf(ada, 'gone'), 'asked for'))
  await lab.run(3_000)
  expect(erased.current).toBe('resolved')
  cardOf(bob, 'kept').notes.insert(0, 'still here. ')
  await lab.run(2_000)
  for (const replica of all) {
    expect(filesWith(lab, replica.name, [secret])).toEqual([])
    expect(recordsIn(scan(logOf(lab, replica.name).bytes).frames).map(idOf)).toEqual(heldBy(replica))
  }
  const shown = cardOf(bob, 'kept').notes.toString()
  expect(shown.length).toBeGreaterThan(9_000)
  await stop(lab, bob)
  const again = await lab.client('bob', { rules })
  boardOf(again)
  await lab.run(1_000)
  expect(cardOf(again, 'kept').notes.toString()).toBe(shown)
  expect(again.incidents.filter(({ code }) => code === 'LogCorrupt')).toEqual([])
})
