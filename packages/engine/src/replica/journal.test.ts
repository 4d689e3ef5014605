import { describe, expect, test } from 'vitest'
import { type Refusal, StorageError, WeftError } from '../bytes/refusal.ts'
import { encodeFrame, scan } from '../log/frame.ts'
import { Disk, type Fault } from './brittle.ts'
import { Journal, type OpenJournal } from './journal.ts'
import type { Files } from './ports.ts'

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

interface Outcome {
  appended: number[]
  resolved: Set<number>
  rejected: Map<number, unknown>
}

/** Appends one by one, several at once, and while others are under way. */
const scenario = async (disk: Disk, outcome: Outcome): Promise<void> => {
  const { journal } = await open(disk)
  const append = async (...indexes: number[]): Promise<void> => {
    outcome.appended.push(...indexes)
    await journal.append(indexes.map(frame)).then(
      () => {
        for (const index of indexes) outcome.resolved.add(index)
      },
      (error: unknown) => {
        for (const index of indexes) outcome.rejected.set(index, error)
      },
    )
  }
  await append(1)
  await Promise.all([append(2, 3), append(4)])
  const first = append(5)
  await Promise.resolve()
  await Promise.resolve()
  await Promise.all([append(6), append(7, 8), first])
  await append(9)
  await append(10)
  await journal.close()
}

const newOutcome = (): Outcome => ({ appended: [], resolved: new Set(), rejected: new Map() })

/** What was appended and is there must be there in order; all that resolved is there and nothing that was rejected. */
const judge = (found: number[], { appended, resolved, rejected }: Outcome): void => {
  expect(found).toEqual(appended.filter((index) => found.includes(index)))
  for (const index of resolved) expect(found).toContain(index)
  for (const index of rejected.keys()) expect(found).not.toContain(index)
}

test('what was appended is read back, and the header with it', async () => {
  const disk = new Disk()
  const outcome = newOutcome()
  await scenario(disk, outcome)
  expect([...outcome.resolved]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  expect(await stored(disk)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  expect(scan(disk.contents.get(name)?.durable ?? header)).toMatchObject({ torn: false, damage: [] })
})

test.each([undefined, 'DiskError'] as const)(
  'what is vouched for is read while it is synced; an append waits for that, and is stored whatever comes of it: %s',
  async (fault) => {
    const disk = new Disk()
    const first = await open(disk)
    await first.journal.append([frame(1)])
    const { size, checksum } = first.journal
    await first.journal.close()
    let go = (): void => undefined
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    let syncs = 0
    const slow: Files = {
      open: async (...args) => {
        const file = await disk.open(...args)
        const sync = async (): Promise<void> => {
          if (syncs++ > 0) return file?.sync()
          await gate
          disk.fault = () => fault
          await file?.sync().finally(() => {
            disk.fault = () => undefined
          })
        }
        return file && { ...file, sync }
      },
      list: () => disk.list(),
      rename: (from, to) => disk.rename(from, to),
      remove: (removed) => disk.remove(removed),
      syncNames: () => disk.syncNames(),
      lock: () => disk.lock(),
    }
    const incidents: string[] = []
    const { journal, known } = await Journal.open(slow, name, {
      header,
      known: async () => ({ size, checksum }),
      onIncident: ({ code }) => incidents.push(code),
    })
    expect(scan(known ?? header).frames.map(({ payload }) => payload)).toEqual([header, frame(1).payload])
    expect(syncs).toBe(1)
    const calls = disk.calls
    const appending = journal.append([frame(2)])
    const closing = journal.close()
    await new Promise((resolve) => setImmediate(resolve))
    expect(disk.calls).toBe(calls)
    go()
    await appending
    await closing
    expect(incidents).toEqual(fault === undefined ? [] : [fault])
    expect(await stored(disk)).toEqual([1, 2])
  },
)

test('an absent file is an empty log; the first append makes it, with its header and its name', async () => {
  const disk = new Disk()
  const { journal, frames, header: named } = await open(disk)
  expect([frames, named, journal.size]).toEqual([[], header, 0])
  expect(disk.log).toEqual(['open'])
  expect(disk.contents.size).toBe(0)
  await journal.append([frame(1)])
  expect(disk.contents.get(name)?.durable.subarray(0, encodeFrame(0, header).length)).toEqual(encodeFrame(0, header))
  expect(disk.log.slice(-3)).toEqual(['write', 'sync', 'syncNames'])
  disk.loseNames()
  expect(await stored(disk)).toEqual([1])
})

test('a log that is closed unwritten leaves no file, nor does a first append that failed', async () => {
  const disk = new Disk()
  await (await open(disk)).journal.close()
  const calls = new Disk()
  await (await open(calls)).journal.append([frame(1)])
  for (let failing = 1; failing < calls.calls; failing++) {
    const { journal } = await open(disk)
    const from = disk.calls - 1
    disk.fault = (call) => (call === from + failing ? 'DiskError' : undefined)
    await expect(journal.append([frame(1)])).rejects.toThrow(StorageError)
    disk.fault = () => undefined
    expect(disk.contents.size).toBe(0)
    await journal.append([frame(2)])
    await journal.close()
    expect(await stored(disk)).toEqual([2])
    await disk.remove(name)
  }
  expect(disk.contents.size).toBe(0)
})

test('a crash at any call, with any beginning of what was not synced: all that resolved is there', async () => {
  const disk = new Disk()
  const outcome = newOutcome()
  const checks: (() => Promise<void>)[] = []
  disk.onCall = () => {
    const crashes = [...disk.crashes()]
    const now: Outcome = { ...outcome, appended: [...outcome.appended], resolved: new Set(outcome.resolved) }
    for (const crash of crashes) checks.push(async () => judge(await stored(crash), now))
  }
  await scenario(disk, outcome)
  expect(checks.length).toBeGreaterThan(30)
  for (const check of checks) await check()
})

describe.each<Fault>(['DiskFull', 'DiskError', 'short'])('%s', (fault) => {
  test('at any one call, then a crash at any later call: nothing resolved is lost, nothing rejected is there', async () => {
    const calls = new Disk()
    await scenario(calls, newOutcome())
    let rejections = 0
    let checks = 0
    for (let failing = 0; failing < calls.calls; failing++) {
      const disk = new Disk()
      const outcome = newOutcome()
      disk.fault = (call) => (call === failing ? fault : undefined)
      const later: (() => Promise<void>)[] = []
      disk.onCall = () => {
        const now: Outcome = {
          appended: [...outcome.appended],
          resolved: new Set(outcome.resolved),
          rejected: new Map(outcome.rejected),
        }
        for (const crash of disk.crashes()) later.push(async () => judge(await stored(crash), now))
      }
      const opened = await scenario(disk, outcome).then(
        () => true,
        (error: unknown) => {
          expect(error).toMatchObject({ name: 'StorageError', code: fault })
          return false
        },
      )
      disk.fault = () => undefined
      disk.onCall = () => undefined
      for (const check of later) await check()
      for (const crash of disk.crashes()) judge(await stored(crash), outcome)
      judge(await stored(disk), outcome)
      for (const error of outcome.rejected.values()) expect(error).toMatchObject({ name: 'StorageError', code: fault })
      if (opened) expect(outcome.resolved.size + outcome.rejected.size).toBe(10)
      rejections += outcome.rejected.size
      checks += later.length
    }
    // Short writes are gone on with; the others must have been noticed.
    expect(rejections > 0).toBe(fault !== 'short')
    expect(checks).toBeGreaterThan(500)
  })
})

test.each(['DiskFull', 'DiskError'] as const)(
  '%s that lasts: appends are refused, and accepted again when it ends',
  async (code) => {
    for (let from = 0; from < 6; from++) {
      const disk = new Disk()
      const { journal } = await open(disk)
      await journal.append([frame(1)])
      const start = disk.calls + from
      disk.fault = (call) => (call >= start ? code : undefined)
      const outcomes: string[] = []
      for (const index of [2, 3, 4]) {
        await journal.append([frame(index)]).then(
          () => outcomes.push('resolved'),
          (error: unknown) => outcomes.push(error instanceof StorageError ? error.code : 'other'),
        )
      }
      expect(outcomes.at(-1)).toBe(code)
      disk.fault = () => undefined
      await journal.append([frame(5)])
      const kept = [1, ...[2, 3, 4].filter((_, at) => outcomes[at] === 'resolved'), 5]
      for (const crash of disk.crashes()) expect(await stored(crash)).toEqual(kept)
      await journal.close()
      expect(await stored(disk)).toEqual(kept)
    }
  },
)

test('what waits behind a failed append fails with it, and what comes after is stored', async () => {
  const disk = new Disk()
  const { journal } = await open(disk)
  const write = disk.calls
  disk.fault = (call) => (call === write ? 'DiskFull' : undefined)
  const first = journal.append([frame(1)])
  const failures: Promise<unknown>[] = [first.catch((error: unknown) => error)]
  disk.onCall = () => {
    if (failures.length === 1) failures.push(journal.append([frame(2)]).catch((error: unknown) => error))
  }
  for (const error of await Promise.all(failures)) expect(error).toMatchObject({ code: 'DiskFull' })
  expect(failures).toHaveLength(2)
  await journal.append([frame(3)])
  expect(await stored(disk)).toEqual([3])
})

test('appends that gather go out in one write and one sync', async () => {
  const disk = new Disk()
  const { journal } = await open(disk)
  await journal.append([frame(1)])
  disk.log = []
  await Promise.all(Array.from({ length: 1_000 }, (_, index) => journal.append([frame(index % 200)])))
  expect(disk.log).toEqual(['write', 'sync'])
  disk.log = []
  const first = journal.append([frame(1)])
  await Promise.resolve()
  await Promise.resolve()
  const others = Array.from({ length: 100 }, (_, index) => journal.append([frame(index)]))
  await Promise.all([first, ...others])
  expect(disk.log).toEqual(['write', 'sync', 'write', 'sync'])
})

test('a batch ends at some size, so that one write stays bounded', async () => {
  const disk = new Disk()
  const { journal } = await open(disk)
  await journal.append([frame(1)])
  disk.log = []
  const payload = new Uint8Array(1_000_000)
  await Promise.all(Array.from({ length: 12 }, () => journal.append([{ kind: 1, payload }])))
  expect(disk.log).toEqual(['write', 'sync', 'write', 'sync', 'write', 'sync'])
})

test('a torn tail is cut and kept aside, at every length', async () => {
  const whole = [encodeFrame(0, header), encodeFrame(1, frame(1).payload)]
  const prefix = Uint8Array.from(whole.flatMap((bytes) => [...bytes]))
  const last = encodeFrame(1, frame(2).payload)
  for (let cut = 1; cut < last.length; cut++) {
    const disk = new Disk()
    disk.put(name, Uint8Array.from([...prefix, ...last.subarray(0, cut)]))
    const { journal, frames, incidents } = await open(disk)
    expect(frames.map(({ payload }) => indexOf(payload))).toEqual([1])
    expect(incidents).toEqual([])
    expect(disk.contents.get(`${name}.torn`)?.durable).toEqual(last.slice(0, cut))
    expect(disk.contents.get(name)?.durable).toEqual(prefix)
    await journal.append([frame(3)])
    expect(await stored(disk)).toEqual([1, 3])
  }
})

test('a disk too full to keep the tail aside: the log is read, and the tail stays until there is room', async () => {
  const disk = new Disk()
  const tail = encodeFrame(1, frame(2).payload).subarray(0, 15)
  disk.put(name, Uint8Array.from([...encodeFrame(0, header), ...encodeFrame(1, frame(1).payload), ...tail]))
  const before = disk.contents.get(name)?.seen
  disk.fault = () => (disk.log.at(-1) === 'write' ? 'DiskFull' : undefined)
  const { journal, frames, incidents } = await open(disk)
  expect(frames).toHaveLength(1)
  expect(incidents.map(({ code }) => code)).toEqual(['DiskFull'])
  await expect(journal.append([frame(3)])).rejects.toMatchObject({ code: 'DiskFull' })
  expect(disk.contents.get(name)?.seen).toEqual(before)
  disk.fault = () => undefined
  await journal.append([frame(4)])
  expect(disk.contents.get(`${name}.torn`)?.durable).toEqual(new Uint8Array(tail))
  expect(await stored(disk)).toEqual([1, 4])
})

test('damage in the middle is reported and stays, what follows is read, and appends go on', async () => {
  const disk = new Disk()
  const parts = [encodeFrame(0, header), ...[1, 2, 3].map((index) => encodeFrame(1, frame(index).payload))]
  const bytes = Uint8Array.from(parts.flatMap((part) => [...part]))
  const from = (parts[0]?.length ?? 0) + (parts[1]?.length ?? 0)
  bytes[from + 14] = 99
  disk.put(name, bytes)
  const { journal, frames, damage, incidents } = await open(disk)
  expect(frames.map(({ payload }) => indexOf(payload))).toEqual([1, 3])
  expect(damage).toEqual([{ from, to: from + (parts[2]?.length ?? 0) }])
  expect(incidents.map(({ code }) => code)).toEqual(['LogCorrupt'])
  await journal.append([frame(4)])
  expect(disk.contents.get(name)?.durable.subarray(0, bytes.length)).toEqual(bytes)
  expect((await open(disk)).frames.map(({ payload }) => indexOf(payload))).toEqual([1, 3, 4])
})

test('a damaged header is reported as undefined, and the frames are read', async () => {
  const disk = new Disk()
  const bytes = Uint8Array.from([...encodeFrame(0, header), ...encodeFrame(1, frame(1).payload)])
  bytes[2] = 0
  disk.put(name, bytes)
  const { header: found, frames, incidents } = await open(disk)
  expect(found).toBeUndefined()
  expect(frames.map(({ payload }) => indexOf(payload))).toEqual([1])
  expect(incidents.map(({ code }) => code)).toEqual(['LogCorrupt'])
})

test('a file without a single whole frame begins anew, kept aside, reported if it held more than half a header', async () => {
  for (const [bytes, reported] of [
    [encodeFrame(0, header).subarray(0, 9), false],
    [new Uint8Array(4_000).fill(3), true],
  ] as const) {
    const disk = new Disk()
    disk.put(name, bytes)
    const { journal, incidents } = await open(disk)
    expect(incidents.map(({ code }) => code)).toEqual(reported ? ['LogCorrupt'] : [])
    expect(disk.contents.get(`${name}.torn`)?.durable).toEqual(new Uint8Array(bytes))
    await journal.append([frame(1)])
    expect(await stored(disk)).toEqual([1])
  }
})

test('what a killed process had written and not synced is synced before it counts', async () => {
  const disk = new Disk()
  const { journal } = await open(disk)
  await journal.append([frame(1)])
  const bytes = encodeFrame(1, frame(2).payload)
  const file = await disk.open(name, false)
  await file?.write(journal.size, bytes)
  expect((await open(disk)).frames).toHaveLength(2)
  expect(disk.contents.get(name)?.unsynced).toEqual([])
  disk.fault = () => (disk.log.at(-1) === 'sync' ? 'DiskError' : undefined)
  await expect(open(disk)).rejects.toMatchObject({ code: 'DiskError' })
})

test('after a failure the file is not trusted unless it still is what was written', async () => {
  const disk = new Disk()
  const { journal, incidents } = await open(disk)
  await journal.append([frame(1), frame(2)])
  const content = disk.contents.get(name)
  if (content === undefined) throw new Error('no file')
  const intact = content.seen
  const failing = disk.calls
  disk.fault = (call) => (call === failing ? 'DiskError' : undefined)
  content.seen = content.seen.with(30, 77)
  await expect(journal.append([frame(3)])).rejects.toMatchObject({ code: 'DiskError' })
  await expect(journal.append([frame(4)])).rejects.toMatchObject({ code: 'DiskError' })
  expect(incidents.some(({ code }) => code === 'LogCorrupt')).toBe(true)
  content.seen = intact
  await journal.append([frame(5)])
  expect(await stored(disk)).toEqual([1, 2, 5])
})

test('close stores what waits, and refuses what comes later', async () => {
  const disk = new Disk()
  const { journal } = await open(disk)
  const waiting = journal.append([frame(1)])
  const closed = journal.close()
  const late: unknown = await journal.append([frame(2)]).catch((error: unknown) => error)
  expect(late instanceof WeftError && late.code).toBe('Closed')
  await Promise.all([waiting, closed])
  expect(await stored(disk)).toEqual([1])
})

test('a log of many pieces is read whole', async () => {
  const disk = new Disk()
  const { journal } = await open(disk)
  const sizes = [700_000, 1_048_576, 3, 900_000, 1_048_576]
  for (const size of sizes) await journal.append([{ kind: 2, payload: new Uint8Array(size).fill(size) }])
  const size = journal.size
  await journal.close()
  const reopened = await open(disk)
  expect(reopened.journal.size).toBe(size)
  expect(reopened.frames.map(({ payload }) => payload.length)).toEqual(sizes)
  // A failure makes it compare what it has read with the checksum it took while reading.
  const failing = disk.calls
  disk.fault = (call) => (call === failing ? 'DiskFull' : undefined)
  await expect(reopened.journal.append([frame(1)])).rejects.toMatchObject({ code: 'DiskFull' })
  await reopened.journal.append([frame(2)])
  expect(reopened.incidents).toEqual([])
  expect((await open(disk)).frames).toHaveLength(sizes.length + 1)
})

test('a name that could not be stored is made anew, not synced again', async () => {
  const disk = new Disk()
  disk.fault = () => (disk.log.at(-1) === 'syncNames' ? 'DiskError' : undefined)
  const { journal } = await open(disk)
  await expect(journal.append([frame(1)])).rejects.toThrow(StorageError)
  disk.fault = () => undefined
  await journal.append([frame(2)])
  await journal.close()
  disk.loseNames()
  expect(await stored(disk)).toEqual([2])
})

test('what a failed sync left behind is stored before it is counted, though its process was killed before it could cut', async () => {
  const disk = new Disk()
  const first = await open(disk)
  await first.journal.append([frame(1)])
  disk.fault = () => (disk.log.at(-1) === 'sync' ? 'DiskError' : undefined)
  // The process dies where its next call would be: nothing is cut.
  const dead = new Promise<never>(() => undefined)
  void first.journal.append([frame(2)]).catch(() => dead)
  await expect.poll(() => disk.log.filter((call) => call === 'sync').length).toBeGreaterThan(2)
  const left = disk.contents.get(name)
  if (left === undefined) throw new Error('no log')
  const after = new Disk()
  after.contents.set(name, { seen: left.seen, durable: left.durable, unsynced: [] })
  const counted = (await open(after)).frames.map(({ payload }) => indexOf(payload))
  const now = after.contents.get(name)
  const cut = new Disk()
  cut.put(name, now?.durable ?? new Uint8Array(0))
  expect(await stored(cut)).toEqual(counted)
})
