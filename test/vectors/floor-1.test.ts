/**
 * A log with a floor as it was written in format 1: a device dropped history behind a checkpoint, wrote on, and had the history of one item brought
 * back. Today's code opens it to the same values, a reader that shares no code with it finds the same, and both write the same bytes again. The file
 * is never made anew.
 */
import { createHash } from 'node:crypto'
import { boolean, Database, date, type Files, logName, map, number, schema, set, string, text } from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { memoryFiles } from '@weft-db/storage/memory'
import { describe, expect, test } from 'vitest'
import { concatBytes } from '../../packages/engine/src/bytes/bytes.ts'
import { crc32c } from '../../packages/engine/src/bytes/crc32c.ts'
import { type Operation, tagOf } from '../../packages/engine/src/commit/operation.ts'
import { type LoggedCommits, RowWriter } from '../../packages/engine/src/graph/logged.ts'
import { encodeFrame, type Framed, frameKinds, scan } from '../../packages/engine/src/log/frame.ts'
import { MergedItem } from '../../packages/engine/src/merge/item.ts'
import { keyHash } from '../../packages/engine/src/merge/shelf.ts'
import { type StoredItem, StoredItems } from '../../packages/engine/src/merge/stored.ts'
import { encodeItems } from '../../packages/engine/src/merge/storing.ts'
import { valuesOf } from '../../packages/engine/src/merge/values.ts'
import {
  droppedCommits,
  encodeRecalled,
  floorFrames,
  readFloor,
  readRecalled,
} from '../../packages/engine/src/replica/floor.ts'
import { encodeSnapshotEnd, type Snapshot, snapshotStart } from '../../packages/engine/src/replica/snapshot.ts'
import { plainly, sorted } from '../docs/plain-state.ts'
import { readLog } from '../docs/storage-reader.mjs'
import vectors from './floor-1.json' with { type: 'json' }
import { schemas } from './written.ts'

const path = '/board/roadmap'
const runtime = nodeRuntime()
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const log = Buffer.from(vectors.log, 'hex')
const { frames } = scan(log)
const framesOf = (kind: number): readonly Framed[] => frames.filter((frame) => frame.kind === kind)

const schemaNames = new Map(
  Object.values(schemas).map(({ name, definition }) => [toHex(runtime.hash(definition)), name] as const),
)
/** Of an item: its schema's name, and its key. */
const nameOf = (schema: string, key: string): string => `${schemaNames.get(schema)} ${key}`

const write = async (files: Files, name: string, hex: string): Promise<void> => {
  const file = await files.open(name, true)
  await file?.write(0, new Uint8Array(Buffer.from(hex, 'hex')))
  await file?.sync()
  await file?.close()
}

const read = async (files: Files, name: string): Promise<string> => {
  const file = await files.open(name, false)
  return toHex((await file?.read(0, await file.size())) ?? new Uint8Array(0))
}

describe('the engine', () => {
  test('opens it to the same values, the second time from a snapshot, and changes nothing of it', async () => {
    const files = memoryFiles()
    const name = logName(path, runtime)
    await write(files, logName('/sys', runtime), vectors.root)
    await write(files, name, vectors.log)
    for (const snapshot of [false, true]) {
      expect((await files.list()).includes(`${name}.snapshot`)).toBe(snapshot)
      const incidents: unknown[] = []
      const database = new Database({
        schemas: Object.values(schemas),
        runtime,
        snapshotFrom: 512,
        storage: async () => ({ files, keys: memoryKeys(), mode: 'test', lasting: true }),
        transports: [],
      })
      database.onIncident((incident) => incidents.push(incident))
      await database.opened
      const repository = database.repository(path)
      await repository.ready
      const values: Record<string, unknown> = {}
      const laid: Record<string, unknown> = {}
      for (const [schema, items] of repository.counting.items)
        for (const [key, item] of items) {
          values[nameOf(schema, key)] = valuesOf(item.value(), item.schema)
          const floor = items.floorOf(key)
          if (floor === undefined) continue
          const changes = Array.from({ length: floor.size }, (_, place) => floor.nameOf(place).id)
          laid[nameOf(schema, key)] = { ...plainly(floor.state), changes, clock: floor.last.clock }
        }
      expect(values).toEqual(vectors.values)
      expect(laid).toEqual(vectors.laid)
      const { commits } = repository.pipeline
      const ids = Array.from({ length: commits.size }, (_, place) => commits.idAt(place))
      expect(ids).toEqual([...vectors.dropped.map(({ id }) => id), ...vectors.commits])
      expect([incidents, repository.counting.waiting.size]).toEqual([[], 0])
      await database.close()
      expect(await read(files, name)).toBe(vectors.log)
      expect(await read(files, logName('/sys', runtime))).toBe(vectors.root)
    }
  })

  test('writes the same bytes again', () => {
    const payloads = framesOf(frameKinds.floor).map(({ payload }) => toHex(payload))
    const floor = readFloor(framesOf(frameKinds.floor))
    const commits = floor && droppedCommits(floor)
    if (floor === undefined || commits === undefined) throw new Error('no floor')
    expect(floorFrames(written(floor, commits)).map(({ payload }) => toHex(payload))).toEqual(payloads)
    for (const { payload } of framesOf(frameKinds.recalled)) {
      const item = readRecalled(payload)
      expect(item && nameOf(item.schema, item.key)).toBe(vectors.recalled)
      expect(item && toHex(encodeRecalled(item))).toBe(toHex(payload))
    }
    expect(frames.map(({ kind }) => kind)).toEqual(vectors.kinds)
  })

  test('writes a block of whatever there may be with the same bytes, and a floor in the same pieces', () => {
    const { bytes, items } = vectors.block
    const made = everyItem()
    expect(toHex(encodeItems(made, (id) => [numberOf(id)]))).toBe(bytes)
    const stored = StoredItems.read(new Uint8Array(Buffer.from(bytes, 'hex')), { idOf, clockOf: (number) => number })
    const found = made.map((_, place) => stored?.at(place))
    expect(found.map((item) => item && { key: item.key, ...plainly(item.state) })).toEqual(items)
    expect(found.map((item) => item && [item.changes, item.heads, item.state.presence])).toEqual(
      made.map(({ changes, heads, state }) => [changes, heads, state.presence]),
    )
    const pieces = floorFrames(Uint8Array.from({ length: 600_000 }, (_, at) => at % 251))
    expect(pieces.map(({ kind, payload }) => [kind, payload.length, toHex(payload.subarray(0, 4))])).toEqual([
      [8, 262_146, '00030001'],
      [8, 262_146, '01036465'],
      [8, 75_714, '0203c8c9'],
    ])
  })
})

/** The floor, from what was read of it. */
const written = ({ shelves, layout, ...rest }: Snapshot, commits: LoggedCommits): Uint8Array => {
  const rows = new RowWriter(1)
  const named = { idOf: (number: number) => commits.idAt(number), clockOf: (number: number) => commits.clockAt(number) }
  for (let number = 0; number < commits.size; number++) rows.add(commits.row(number))
  const parts: Uint8Array[] = [snapshotStart]
  const ends = shelves.map(({ schemaHash, blocks }) => {
    const [hashes, lengths]: [number[], number[]] = [[], []]
    for (const block of blocks) {
      const stored = StoredItems.read(block, named)
      const items = Array.from({ length: stored?.size ?? 0 }, (_, place) => stored?.at(place))
      const found = items.filter((item) => item !== undefined)
      const part = encodeItems(found, (id) => [commits.droppedIndexOf(id)])
      parts.push(part)
      lengths.push(part.length)
      hashes.push(...found.map(({ key }) => keyHash(key)))
    }
    return { schemaHash, hashes, lengths }
  })
  const before = parts.reduce((sum, part) => crc32c(part, sum), 0)
  expect(layout.length).toBe(0)
  const end = { ...rest, layout: new Uint8Array(0), ...rows.take(commits.floors), shelves: ends }
  return concatBytes(...parts, encodeSnapshotEnd(end, before))
}

const idOf = (number: number): string => createHash('sha256').update(`commit ${number}`).digest('hex')
const numberOf = (id: string): number => Array.from({ length: 300 }, (_, number) => idOf(number)).indexOf(id)

const every = schema('every', 1, {
  title: string(),
  share: number(),
  count: number(),
  done: boolean(),
  due: date(),
  flags: set(boolean()),
  names: map(string()),
  notes: text(),
})

interface WrittenChange {
  /** Places of changes of the same item. */
  readonly parents: readonly number[]
  readonly operations: readonly Operation[]
}

const first = (...operations: readonly Operation[]): WrittenChange => ({ parents: [], operations })
const later = (parents: readonly number[], ...operations: readonly Operation[]): WrittenChange => ({
  parents,
  operations,
})
const assign = (field: string, value: string | number | boolean | null): Operation => ({ kind: 'assign', field, value })
const add = (value: boolean): Operation => ({ kind: 'add', field: 'flags', value })
const put = (key: string, value: string): Operation => ({ kind: 'put', field: 'names', entry: [key, value] })
const insert = (value: string): Operation => ({
  kind: 'splice',
  field: 'notes',
  at: 0,
  remove: 0,
  length: value.length,
  insert: value,
})

/** The number of a change in the block: further items have earlier ones. */
const numberIn = (item: number, change: number): number => 200 - 20 * item + 3 * change

const everything: readonly (readonly [key: string, ...changes: WrittenChange[]])[] = [
  ['\u{1f9f5}a', first(assign('title', 'one'), assign('share', 0.5), assign('count', 7), assign('done', true))],
  ['\u{1f9f6}a', first(assign('title', ''), assign('share', 1e-7), assign('count', -(2 ** 40)), assign('done', false))],
  ['\u{1f9f6}ab', first(assign('title', 'one'), assign('due', 0)), later([0], { kind: 'delete' })],
  ['b', first(assign('due', null), insert('x'.repeat(257))), later([0], insert('y'))],
  [
    'b\u00fc',
    first(assign('count', 1)),
    later([0], assign('title', 'w'.repeat(256))),
    later([0], assign('share', 2 ** 53)),
  ],
  [
    'c',
    first(add(true), add(false), put('k', 'first'), put('l', 'one')),
    later([0], put('k', 'left'), { kind: 'remove', field: 'flags', tags: [tagOf(idOf(numberIn(5, 0)), 1)] }),
    later([0], put('k', 'right'), add(false)),
    later([1, 2], { kind: 'touch' }),
  ],
  ['d', first({ kind: 'touch' })],
]

/** Items of all kinds of values, histories and keys. */
const everyItem = (): readonly StoredItem[] =>
  everything.map(([key, ...changes], place) => {
    const item = new MergedItem(key, every)
    const numbers = changes.map((_, change) => numberIn(place, change))
    for (const [change, { parents, operations }] of changes.entries()) {
      const clock = numberIn(place, change)
      const { refusal } = item.count({ id: idOf(clock), clock, parents, operations, seen: -1 })
      expect(refusal).toBe(undefined)
    }
    return { key, changes: numbers, heads: item.graph.heads, state: item.value() }
  })

describe('a reader that shares no code with it', () => {
  test('finds the same', () => {
    const { floor, ids, path: of, damage, torn, lost } = readLog(log)
    expect([of, damage, torn, lost]).toEqual([path, [], false, undefined])
    const { commits, dropped, laid, floors } = vectors
    expect(ids).toEqual(commits)
    expect(floor?.dropped).toEqual(dropped)
    expect(floor?.floors).toEqual(floors)
    const found = floor?.items.map(({ schema, key, changes, clock, ...state }) => [
      nameOf(schema, key),
      { ...sorted(state), changes, clock },
    ])
    expect(Object.fromEntries(found ?? [])).toEqual(laid)
  })

  test('takes the floor in whatever pieces, and none of which one is missing', () => {
    const [whole] = framesOf(frameKinds.floor)
    const [header, , ...others] = frames.map(({ kind, payload }) => encodeFrame(kind, payload))
    const bytes = whole?.payload.subarray(2) ?? new Uint8Array(0)
    const pieces = [bytes.subarray(0, 9), bytes.subarray(9, 10), bytes.subarray(10)].map((piece, place) =>
      encodeFrame(frameKinds.floor, concatBytes(Uint8Array.of(place, 3), piece)),
    )
    const logOf = (some: readonly Uint8Array[]): Buffer => Buffer.concat([header ?? bytes, ...some, ...others])
    expect(readLog(logOf(pieces)).floor).toEqual(readLog(log).floor)
    const laid = readFloor(scan(logOf(pieces)).frames.filter(({ kind }) => kind === frameKinds.floor))
    expect(laid).toEqual(readFloor(framesOf(frameKinds.floor)))
    for (const some of [pieces.slice(1), pieces.slice(0, 2), pieces.toReversed()]) {
      const { floor, lost, ids } = readLog(logOf(some))
      expect([floor, typeof lost, ids.length > 0]).toEqual([undefined, 'string', true])
      expect(readFloor(scan(logOf(some)).frames.filter(({ kind }) => kind === frameKinds.floor))).toBe(undefined)
    }
  })
})
