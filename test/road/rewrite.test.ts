/** A log that is written anew, for what is erased to go: on a disk that fails, and under power cuts. */

import type { Files } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { type Refusal, StorageError } from '../../packages/engine/src/bytes/refusal.ts'
import { encodeFrame, type Frame, type Framed, scan } from '../../packages/engine/src/log/frame.ts'
import { Disk } from '../../packages/engine/src/replica/brittle.ts'
import { Journal, type OpenJournal } from '../../packages/engine/src/replica/journal.ts'

const name = 'test.log'
const header = Uint8Array.of(1, 2, 3, 4)
const frame = (index: number): { kind: number; payload: Uint8Array } => ({
  kind: 1,
  payload: new Uint8Array(10 + (index % 30)).fill(index),
})
const indexOf = (payload: Uint8Array): number => payload[0] ?? -1

const open = async (files: Files): Promise<OpenJournal & { incidents: Refusal[] }> => {
  const incidents: Refusal[] = []
  const opened = await Journal.open(files, name, { header, onIncident: (incident) => incidents.push(incident) })
  return { ...opened, incidents }
}

const stored = async (disk: Disk): Promise<number[]> => {
  const { journal, frames, damage, header: found } = await open(disk)
  expect(damage).toEqual([])
  expect(found).toEqual(header)
  await journal.close()
  return frames.map(({ payload }) => indexOf(payload))
}

describe('a log written anew', () => {
  /** Takes out the payload of 2. */
  const without = (stored: Frame): Framed[] =>
    indexOf(stored.payload) === 2 ? [{ kind: stored.kind, payload: Uint8Array.of(0, 0) }] : [stored]

  test('has no byte of what was dropped, nor has anything aside, and goes on', async () => {
    const disk = new Disk()
    const { journal } = await open(disk)
    await journal.append([1, 2, 3].map(frame))
    disk.put(`${name}.torn`, frame(2).payload)
    const [rewritten, appended] = [journal.rewrite(without), journal.append([frame(4)])]
    await Promise.all([rewritten, appended])
    await journal.append([frame(5)])
    await journal.close()
    expect([...disk.contents.keys()]).toEqual([name])
    expect(await stored(disk)).toEqual([1, 0, 3, 4, 5])
    expect([...(disk.contents.get(name)?.seen ?? [])].join()).not.toContain('2,2,2')
  })

  test('leaves out what is damaged: nobody can tell what it was', async () => {
    const disk = new Disk()
    const bytes = Uint8Array.from(
      [0, 1, 2, 3].flatMap((index) => [
        ...encodeFrame(index === 0 ? 0 : 1, index === 0 ? header : frame(index).payload),
      ]),
    )
    const second = scan(bytes).frames[2]?.offset ?? 0
    bytes[second + 15] = 7
    disk.put(name, bytes)
    const { journal, damage } = await open(disk)
    expect(damage.length).toBe(1)
    await journal.rewrite((stored) => [stored])
    await journal.close()
    expect(await stored(disk)).toEqual([1, 3])
  })

  test('a crash at any call of it leaves the old file or the new one; what was appended before and after is there', async () => {
    const disk = new Disk()
    const { journal } = await open(disk)
    await journal.append([1, 2, 3].map(frame))
    const checks: (() => Promise<void>)[] = []
    let isAppended = false
    disk.onCall = () => {
      const is = isAppended
      for (const crash of disk.crashes()) {
        checks.push(async () => {
          const found = await stored(crash)
          expect([
            [1, 2, 3],
            [1, 0, 3],
          ]).toContainEqual(found.slice(0, 3))
          if (is) expect(found.slice(3)).toEqual([4])
        })
      }
    }
    await journal.rewrite(without)
    await journal.append([frame(4)])
    isAppended = true
    await journal.append([])
    expect(checks.length).toBeGreaterThan(8)
    for (const check of checks) await check()
    for (const crash of disk.crashes()) expect(await stored(crash)).toEqual([1, 0, 3, 4])
  })

  test.each(['DiskFull', 'DiskError'] as const)(
    '%s at any one call of it: it is told, tried again, and nothing is lost',
    async (code) => {
      let [failures, isThrough] = [0, false]
      for (let failing = 0; !isThrough; failing++) {
        const disk = new Disk()
        const { journal } = await open(disk)
        await journal.append([1, 2, 3].map(frame))
        const start = disk.calls
        disk.fault = (call) => (call === start + failing ? code : undefined)
        const told = await journal.rewrite(without).then(
          () => 'resolved',
          (error: unknown) => (error instanceof StorageError ? error.code : String(error)),
        )
        isThrough = disk.calls <= start + failing
        if (told !== 'resolved') {
          failures++
          expect(told).toBe(code)
        }
        disk.fault = () => undefined
        await journal.append([frame(4)])
        for (const crash of disk.crashes()) expect((await stored(crash)).at(-1), `${failing}`).toBe(4)
        await journal.rewrite(without)
        await journal.append([frame(5)])
        for (const crash of disk.crashes()) expect(await stored(crash), `${failing}`).toEqual([1, 0, 3, 4, 5])
        await journal.close()
      }
      expect(failures).toBeGreaterThan(7)
    },
  )

  test('a name whose sync failed is not relied on: what is appended next goes into a file written once more', async () => {
    const disk = new Disk()
    const { journal } = await open(disk)
    await journal.append([1, 2, 3].map(frame))
    disk.fault = () => (disk.log.at(-1) === 'syncNames' ? 'DiskError' : undefined)
    await expect(journal.rewrite(without)).rejects.toThrow(StorageError)
    disk.fault = () => undefined
    const from = disk.log.length
    await journal.append([frame(4)])
    const calls = disk.log.slice(from)
    expect(calls.lastIndexOf('syncNames')).toBeGreaterThan(calls.indexOf('rename'))
    expect(calls.indexOf('rename')).toBeGreaterThan(-1)
    await journal.close()
    expect(await stored(disk)).toEqual([1, 0, 3, 4])
  })

  test('a log that was never written has nothing to be written anew', async () => {
    const disk = new Disk()
    const { journal } = await open(disk)
    await journal.rewrite(without)
    await journal.close()
    expect([...disk.contents.keys()]).toEqual([])
  })
})

test('the copy that opening makes is not relied on either when its name could not be stored', async () => {
  const disk = new Disk()
  const first = await open(disk)
  await first.journal.append([1, 2].map(frame))
  await first.journal.close()
  let failed = false
  disk.fault = () => {
    if (failed || disk.log.at(-1) !== 'syncNames') return undefined
    failed = true
    return 'DiskError'
  }
  const { journal } = await open(disk)
  expect(failed).toBe(true)
  const from = disk.log.length
  await journal.append([frame(3)])
  expect(disk.log.slice(from)).toContain('rename')
  const again = disk.log.length
  await journal.append([frame(4)])
  expect(disk.log.slice(again)).not.toContain('rename')
  expect(await stored(disk)).toEqual([1, 2, 3, 4])
})
