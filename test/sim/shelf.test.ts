import type { File, Files } from '@weft-db/engine'
import { expect, test } from 'vitest'
import { fromHex } from '../../packages/engine/src/bytes/bytes.ts'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import { composeCommit, sealCommit } from '../../packages/engine/src/commit/commit.ts'
import { encodeFrame } from '../../packages/engine/src/log/frame.ts'
import { Disk, soundDisk } from './files.ts'
import { stream } from './random.ts'
import { Shelf, sha256 } from './shelf.ts'

const log = 'log'
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const name = (byte: number, length: number): string => hex(new Uint8Array(length).fill(byte))

/** The frames of a commit and of an entry with a checkpoint that covers it. */
const work = (title: string): { readonly id: string; readonly entry: string; readonly bytes: Uint8Array } => {
  const header = {
    network: name(1, 32),
    repository: '/board/b',
    session: name(2, 32),
    incarnation: name(title.length, 8),
    seq: 0,
    prev: null,
    clock: 256,
    policy: { root: { epoch: 0, n: 0, hash: name(3, 32) }, authority: null },
    atomic: false,
    extended: false,
  }
  const draft = {
    key: 'item',
    parents: [],
    schema: { name: 'card', version: 1, hash: name(4, 32) },
    operations: [{ kind: 'assign', field: 'title', value: title }],
    salt: new Uint8Array(12),
  } as const
  const { id, bytes } = sealCommit(composeCommit(header, [draft], sha256), new Uint8Array(64))
  const moved = [[fromHex(header.session), fromHex(header.incarnation), 0, fromHex(id)]]
  const body = encode([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, [0, 0, moved]])
  const entry = encodeFrame(3, encode([body, new Uint8Array(64)]))
  return { id, entry: hex(sha256(body)), bytes: Buffer.concat([encodeFrame(1, bytes), entry]) }
}

const makeFile = async (files: Files, named: string, bytes: Uint8Array): Promise<File> => {
  const file = await files.open(named, true)
  if (file === undefined) throw new Error('not made')
  await file.write(0, bytes)
  await file.sync()
  await files.syncNames()
  return file
}

const questions = [
  ['has', (shelf: Shelf, { id }: ReturnType<typeof work>) => shelf.has(id)],
  ['hasEntry', (shelf: Shelf, { entry }: ReturnType<typeof work>) => shelf.hasEntry(entry)],
  ['covers', (shelf: Shelf, { id }: ReturnType<typeof work>) => shelf.covers(id)],
] as const

const [first, short, long] = [work('a'), work('bb'), work('a longer one')]

test.each(questions)('%s: what is appended is read on from where it stopped', async (_name, holds) => {
  const disk = new Disk(stream('append', 'disk'))
  const file = await makeFile(disk.files(), log, first.bytes)
  const shelf = new Shelf(disk, log)
  expect([holds(shelf, first), holds(shelf, long)]).toEqual([true, false])
  await file.write(first.bytes.length, long.bytes)
  expect(holds(shelf, long)).toBe(false)
  await file.sync()
  expect([holds(shelf, first), holds(shelf, long)]).toEqual([true, true])
  expect(disk.storedBytes(log)?.rewrites).toBe(0)
})

test.each(questions)(
  '%s: what a failed sync stored is gone when it is cut away, and what took its place is there',
  async (_name, holds) => {
    const seen = new Set<boolean>()
    for (let seed = 0; seed < 20; seed++) {
      const disk = new Disk(stream(`${seed}`, 'disk'))
      const { length } = first.bytes
      const file = await makeFile(disk.files(), log, first.bytes)
      const [shelf, other] = [new Shelf(disk, log), new Shelf(disk, log)]
      await file.write(length, short.bytes)
      disk.faults = { ...soundDisk, syncError: 1 }
      await expect(file.sync()).rejects.toThrow()
      seen.add(holds(shelf, short))
      holds(other, short)
      disk.faults = soundDisk
      await file.truncate(length)
      await file.sync()
      await file.write(length, long.bytes)
      await file.sync()
      expect(holds(shelf, long), `seed ${seed}`).toBe(true)
      expect(holds(other, short), `seed ${seed}`).toBe(false)
      expect(holds(other, first), `seed ${seed}`).toBe(true)
    }
    expect([...seen].sort()).toEqual([false, true])
  },
)

test.each(questions)('%s: another file that takes the name is read from its start', async (_name, holds) => {
  const disk = new Disk(stream('rename', 'disk'))
  const files = disk.files()
  await makeFile(files, log, short.bytes)
  const shelf = new Shelf(disk, log)
  expect(holds(shelf, short)).toBe(true)
  await makeFile(files, 'new', Buffer.concat([first.bytes, long.bytes]))
  await files.rename('new', log)
  expect(holds(shelf, short)).toBe(true)
  await files.syncNames()
  expect([holds(shelf, short), holds(shelf, first), holds(shelf, long)]).toEqual([false, true, true])
})
