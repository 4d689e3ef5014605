import { type File, type Files, StorageError } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { Disk, type DiskFaults, soundDisk } from './files.ts'
import { Life } from './life.ts'
import { stream } from './random.ts'
import { World } from './world.ts'

const seeds = Array.from({ length: 200 }, (_, index) => `${index}`)
const fill = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value)
const codeOf = async (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'none',
    (error: unknown) => (error instanceof StorageError ? error.code : String(error)),
  )

/** A disk whose calls end at once. */
const instant = (seed: string, faults: Partial<DiskFaults> = {}): { disk: Disk; files: Files } => {
  const disk = new Disk(stream(seed, 'disk'), { ...soundDisk, zeroSector: 0, ...faults })
  return { disk, files: disk.files() }
}

const created = async (files: Files, name: string): Promise<File> => {
  const file = await files.open(name, true)
  if (file === undefined) throw new Error('not created')
  return file
}

const contents = async (files: Files, name: string): Promise<Uint8Array | undefined> => {
  const file = await files.open(name, false)
  return file && (await file.read(0, await file.size()))
}

/** A file of three synced bytes, its name synced too. */
const stored = async (files: Files, name = 'log'): Promise<File> => {
  const file = await created(files, name)
  await file.write(0, Uint8Array.of(1, 2, 3))
  await file.sync()
  await files.syncNames()
  return file
}

describe('files', () => {
  test('are read as they were written, without gaps growing anything but zeros', async () => {
    const { files } = instant('read')
    expect(await files.open('log', false)).toBeUndefined()
    const file = await created(files, 'log')
    expect(await file.write(4, Uint8Array.of(5, 6))).toBe(2)
    await file.write(0, Uint8Array.of(1))
    expect(await file.read(0, 100)).toEqual(Uint8Array.of(1, 0, 0, 0, 5, 6))
    expect(await file.read(5, 1)).toEqual(Uint8Array.of(6))
    expect(await file.read(6, 1)).toEqual(new Uint8Array(0))
    await file.truncate(1)
    await file.truncate(3)
    expect(await contents(files, 'log')).toEqual(Uint8Array.of(1, 0, 0))
    await file.close()
    await expect(file.size()).rejects.toThrow('closed')
  })

  test('names are listed, replaced and removed', async () => {
    const { files } = instant('names')
    await (await created(files, 'b')).write(0, Uint8Array.of(1))
    await created(files, 'a')
    await files.rename('b', 'a')
    await files.remove('absent')
    expect(await files.list()).toEqual(['a'])
    expect(await contents(files, 'a')).toEqual(Uint8Array.of(1))
    expect(await codeOf(files.rename('b', 'c'))).toBe('DiskError')
    await files.remove('a')
    expect(await files.list()).toEqual([])
    await expect(files.open('Up/..', true)).rejects.toThrow('not a file name')
  })

  test('a written array may be used again at once', async () => {
    const { files } = instant('reuse')
    const file = await created(files, 'log')
    // A Buffer's slice is a view.
    const bytes = Buffer.of(7)
    const written = file.write(0, bytes)
    bytes.fill(0)
    await written
    expect(await file.read(0, 1)).toEqual(Uint8Array.of(7))
  })

  test('a second opener is refused until the first lets go', async () => {
    const { files, disk } = instant('lock')
    const release = await files.lock()
    expect(await codeOf(disk.files().lock())).toBe('AlreadyOpen')
    await release()
    await (await disk.files().lock())()
  })
})

describe('faults of calls', () => {
  test('a full disk takes what fits and then refuses', async () => {
    const { files, disk } = instant('full', { capacity: 10 })
    const file = await created(files, 'log')
    expect(await file.write(0, fill(8, 1))).toBe(8)
    expect(await file.write(8, fill(8, 2))).toBe(2)
    expect(await codeOf(file.write(10, fill(1, 3)))).toBe('DiskFull')
    expect(await codeOf(file.truncate(11))).toBe('DiskFull')
    expect(await file.write(0, fill(10, 4))).toBe(10)
    disk.faults = { ...disk.faults, capacity: null }
    expect(await file.write(10, fill(90, 5))).toBe(90)
  })

  test('a short write says how much of it there is', async () => {
    const { files } = instant('short', { shortWrite: 1 })
    const file = await created(files, 'log')
    const counts = new Set<number>()
    for (let round = 0; round < 100; round++) {
      await file.truncate(0)
      const count = await file.write(0, fill(5, 9))
      counts.add(count)
      expect(await file.read(0, 9)).toEqual(fill(count, 9))
    }
    expect([...counts].sort()).toEqual([1, 2, 3, 4])
  })

  test('errors come as often as asked, a failed write may leave a part', async () => {
    const { files, disk } = instant('errors')
    const file = await stored(files)
    const sizes = new Set<number>()
    for (let round = 0; round < 50; round++) {
      disk.faults = { ...disk.faults, writeError: 0 }
      await file.truncate(3)
      disk.faults = { ...disk.faults, readError: 1, writeError: 1, syncError: 1, nameError: 1 }
      expect(await codeOf(file.write(3, fill(3, 9)))).toBe('DiskError')
      sizes.add(await file.size())
    }
    expect(await codeOf(file.read(0, 1))).toBe('DiskError')
    expect(await codeOf(file.truncate(0))).toBe('DiskError')
    expect(await codeOf(file.sync())).toBe('DiskError')
    for (const call of [
      files.open('log', false),
      files.list(),
      files.rename('log', 'b'),
      files.remove('log'),
      files.syncNames(),
    ]) {
      expect(await codeOf(call)).toBe('DiskError')
    }
    expect([...sizes].sort()).toEqual([3, 4, 5])
  })

  test('a failed sync forgets a part, shows it still, and the next sync stores nothing of it', async () => {
    const kept = new Set<number>()
    for (const seed of seeds) {
      const { files, disk } = instant(seed)
      const file = await stored(files)
      await file.write(3, Uint8Array.of(4))
      await file.write(4, Uint8Array.of(5, 6))
      disk.faults = { ...disk.faults, syncError: 1 }
      expect(await codeOf(file.sync())).toBe('DiskError')
      disk.faults = { ...disk.faults, syncError: 0 }
      expect(await codeOf(file.sync())).toBe('none')
      expect(await file.read(0, 9), seed).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6))
      disk.crash()
      const left = (await contents(disk.files(), 'log')) ?? new Uint8Array(0)
      kept.add(left.length)
      expect(left, seed).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6).subarray(0, left.length))
    }
    // The second byte of the last write is torn off at the most; all of it is never stored.
    expect([...kept].sort()).toEqual([3, 4, 5, 6])
  })

  test('readers see what a failed sync lost when the cache lets go of it, and what was written since', async () => {
    const lost = new Set<string>()
    for (const seed of seeds) {
      const { files, disk } = instant(seed)
      const file = await stored(files)
      await file.write(3, Uint8Array.of(4, 5))
      disk.faults = { ...disk.faults, syncError: 1 }
      await codeOf(file.sync())
      await file.write(5, Uint8Array.of(6))
      disk.dropCache()
      lost.add(String(await file.read(0, 9)))
    }
    expect(lost).toContain('1,2,3,0,0,6')
    expect(lost).toContain('1,2,3,4,0,6')
    for (const bytes of lost) expect(bytes).toMatch(/^1,2,3,.*,6$/)
  })

  test('a failed sync of names may lose a creation that is still shown', async () => {
    const outcomes = new Set<string>()
    for (const seed of seeds) {
      const { files, disk } = instant(seed, { nameError: 1 })
      disk.faults = { ...disk.faults, nameError: 0 }
      await (await created(files, 'a')).sync()
      disk.faults = { ...disk.faults, nameError: 1 }
      expect(await codeOf(files.syncNames())).toBe('DiskError')
      disk.faults = { ...disk.faults, nameError: 0 }
      await files.syncNames()
      expect(await files.list()).toEqual(['a'])
      disk.crash()
      outcomes.add((await disk.files().list()).join())
    }
    expect([...outcomes].sort()).toEqual(['', 'a'])
  })
})

describe('crashes', () => {
  test('synced bytes under synced names always survive', async () => {
    for (const seed of seeds) {
      const { files, disk } = instant(seed, { zeroSector: 1, subset: 0.5, tear: 0.5 })
      const file = await stored(files)
      await file.write(3, fill(2000, 9))
      await created(files, 'other')
      disk.crash()
      const left = await contents(disk.files(), 'log')
      expect(left?.subarray(0, 3), seed).toEqual(Uint8Array.of(1, 2, 3))
    }
  })

  test('of unsynced writes a prefix is left, the last of it torn', async () => {
    const left = new Set<string>()
    for (const seed of seeds) {
      const { files, disk } = instant(seed, { subset: 0, tear: 0.5 })
      const file = await stored(files)
      await file.write(3, Uint8Array.of(4, 4))
      await file.write(5, Uint8Array.of(5, 5))
      disk.crash()
      left.add(String(await contents(disk.files(), 'log')).slice('1,2,3'.length))
    }
    expect([...left].sort()).toEqual(['', ',4', ',4,4', ',4,4,5', ',4,4,5,5'])
  })

  test('or any subset is left, an earlier write missing before a later one', async () => {
    const left = new Set<string>()
    for (const seed of seeds) {
      const { files, disk } = instant(seed, { subset: 1, tear: 0 })
      const file = await stored(files)
      await file.truncate(2)
      await file.write(2, Uint8Array.of(8))
      await file.write(3, Uint8Array.of(9))
      disk.crash()
      left.add(String(await contents(disk.files(), 'log')))
    }
    expect([...left].sort()).toEqual(['1,2', '1,2,0,9', '1,2,3', '1,2,3,9', '1,2,8', '1,2,8,9'])
  })

  test('a sector of what was not synced may be zero, nothing beside it', async () => {
    const holes = new Set<string>()
    for (const seed of seeds) {
      const { files, disk } = instant(seed, { zeroSector: 1, subset: 0, tear: 0 })
      const file = await stored(files)
      await file.write(3, fill(1500, 9))
      disk.crash()
      const left = (await contents(disk.files(), 'log')) ?? new Uint8Array(0)
      if (left.length === 3) continue
      expect(left.length).toBe(1503)
      const [first, last] = [left.indexOf(0), left.lastIndexOf(0)]
      holes.add(`${first}-${last}`)
      expect(left.filter((byte) => byte === 0).length).toBe(last - first + 1)
    }
    expect([...holes].sort()).toEqual(['1024-1502', '3-511', '512-1023'])
  })

  test('unsynced creations, renames and removals may be lost, each for itself', async () => {
    const left = new Set<string>()
    for (const seed of seeds) {
      const { files, disk } = instant(seed, { subset: 1 })
      await stored(files, 'old')
      const next = await created(files, 'next')
      await next.write(0, Uint8Array.of(7))
      await next.sync()
      await files.rename('next', 'old')
      disk.crash()
      const after = disk.files()
      left.add(`${await after.list()}: ${await contents(after, 'old')}`)
    }
    expect([...left].sort()).toEqual(['next,old: 1,2,3', 'old: 1,2,3', 'old: 7'])
  })

  test('a removal that was not synced may come back', async () => {
    const left = new Set<string>()
    for (const seed of seeds) {
      const { files, disk } = instant(seed)
      await stored(files)
      await files.remove('log')
      disk.crash()
      left.add((await disk.files().list()).join())
    }
    expect([...left].sort()).toEqual(['', 'log'])
  })

  test('a process that dies alone loses nothing that it wrote', async () => {
    const { files, disk } = instant('process')
    const file = await stored(files)
    await file.write(3, Uint8Array.of(4))
    disk.crash({ cache: 'kept', lock: 'released' })
    expect(await contents(disk.files(), 'log')).toEqual(Uint8Array.of(1, 2, 3, 4))
    expect(disk.stored().get('log')).toEqual(Uint8Array.of(1, 2, 3))
  })

  test('crashing is a function of the seed', async () => {
    const run = async (seed: string): Promise<string> => {
      const { files, disk } = instant(seed, { zeroSector: 0.5 })
      for (const name of ['a', 'b', 'c']) {
        const file = await created(files, name)
        for (let index = 0; index < 20; index++) await file.write(index * 100, fill(100, index + 1))
      }
      await files.syncNames()
      disk.crash()
      return JSON.stringify([...disk.stored()].map(([name, bytes]) => [name, Buffer.from(bytes).toString('hex')]))
    }
    expect(await run('same')).toBe(await run('same'))
    expect(await run('same')).not.toBe(await run('other'))
  })
})

describe('disks as a whole', () => {
  test('a clone is crashed without touching the original or its draws', async () => {
    const [one, other] = [instant('clone'), instant('clone')]
    const left = new Set<string>()
    for (const { files } of [one, other]) await (await stored(files)).write(3, fill(5, 9))
    for (let round = 0; round < 50; round++) {
      const clone = one.disk.clone()
      clone.crash()
      left.add(String(await contents(clone.files(), 'log')))
    }
    expect(left.size).toBeGreaterThan(3)
    expect(one.disk.stream.uint32()).toBe(other.disk.stream.uint32())
    expect(await contents(one.files, 'log')).toEqual(Uint8Array.of(1, 2, 3, 9, 9, 9, 9, 9))
    expect(one.disk.stored().get('log')?.length).toBe(3)
  })

  test('a clone shares no bytes and keeps one file under its two faces', async () => {
    const { files, disk } = instant('independent')
    const file = await stored(files)
    await files.rename('log', 'moved')
    const clone = disk.clone()
    await file.write(0, Uint8Array.of(9))
    const inside = await clone.files().open('moved', false)
    await inside?.write(1, Uint8Array.of(8))
    await inside?.sync()
    expect(await contents(clone.files(), 'moved')).toEqual(Uint8Array.of(1, 8, 3))
    expect(clone.stored().get('log')).toEqual(Uint8Array.of(1, 8, 3))
    expect(await contents(files, 'moved')).toEqual(Uint8Array.of(9, 2, 3))
  })

  test('rot flips one stored bit, also for readers', async () => {
    const { files, disk } = instant('rot')
    const file = await stored(files)
    const place = disk.rot()
    const now = await file.read(0, 3)
    const changed = [...now].map((byte, index) => byte ^ (index + 1))
    expect(place?.name).toBe('log')
    expect(changed.filter((bits) => bits !== 0).length).toBe(1)
    expect(changed[place?.offset ?? -1]?.toString(2).replaceAll('0', '')).toBe('1')
    expect(disk.stored().get('log')).toEqual(now)
    expect(instant('empty').disk.rot()).toBeUndefined()
  })

  test('a file or all of it is lost, a backup comes back', async () => {
    const { files, disk } = instant('loss')
    await stored(files, 'a')
    await stored(files, 'b')
    const backup = disk.clone()
    disk.lose('a')
    expect(await files.list()).toEqual(['b'])
    disk.wipe()
    expect(await disk.files().list()).toEqual([])
    expect(disk.stored().size).toBe(0)
    disk.restore(backup)
    expect(await disk.files().list()).toEqual(['a', 'b'])
    expect([...disk.stored().keys()].sort()).toEqual(['a', 'b'])
  })
})

describe('a disk in a world', () => {
  const setting = (seed: string) => {
    const world = new World(seed)
    const disk = new Disk(world.stream('disk'))
    return { world, disk, life: new Life(world, 'ada') }
  }

  test('calls take time and take effect at its end', async () => {
    const { world, disk, life } = setting('time')
    const times: number[] = []
    void (async () => {
      const file = await created(disk.files(life), 'log')
      times.push(world.now)
      await file.write(0, Uint8Array.of(1))
      times.push(world.now)
      await file.sync()
      times.push(world.now)
    })()
    await world.run(1000)
    const [opened = 0, written = 0, synced = 0] = times
    expect(opened).toBeGreaterThan(0)
    expect(written).toBeGreaterThan(opened)
    expect(synced).toBeGreaterThan(written)
    expect(world.lines().map((line) => line.replace(/^ *\d+ +[\d.]+ /, ''))).toEqual([
      'ada disk open log',
      'ada disk write 1@0 log',
      'ada disk sync log',
    ])
  })

  test('after a crash no pending call and no handle comes back, and the lock is free', async () => {
    const { world, disk, life } = setting('dead')
    const files = disk.files(life)
    let file: File | undefined
    void (async () => {
      await files.lock()
      file = await files.open('log', true)
    })()
    await world.run(1000)
    void file?.write(0, Uint8Array.of(1)).then(() => expect.unreachable())
    disk.crash({ cache: 'kept', lock: 'released' })
    for (const call of [file?.size(), file?.sync(), files.list()]) {
      void call?.finally(() => expect.unreachable())
    }
    const next = new Life(world, 'ada')
    let outcome = ''
    void codeOf(disk.files(next).lock()).then((code) => {
      outcome = code
    })
    await world.run(2000)
    expect(life.alive).toBe(false)
    expect(outcome).toBe('none')
    expect(disk.find('log')?.cached.size).toBe(0)
  })

  test('a lock can outlive its owner, and ends with it otherwise', async () => {
    const { world, disk, life } = setting('stale')
    const lockBy = async (by: Life): Promise<string> => {
      let outcome = 'pending'
      void codeOf(disk.files(by).lock()).then((code) => {
        outcome = code
      })
      await world.run(world.now + 100)
      return outcome
    }
    const lives = ['b', 'c', 'd', 'e'].map((name) => new Life(world, name))
    const [second, third, fourth, fifth] = lives
    if (!(second && third && fourth && fifth)) throw new Error('four lives')
    expect(await lockBy(life)).toBe('none')
    expect(await lockBy(second)).toBe('AlreadyOpen')
    life.end()
    expect(await lockBy(second)).toBe('none')
    disk.crash({ cache: 'kept', lock: 'kept' })
    expect(await lockBy(third)).toBe('AlreadyOpen')
    disk.breakStaleLock()
    expect(await lockBy(third)).toBe('none')
    disk.breakStaleLock()
    expect(await lockBy(fourth)).toBe('AlreadyOpen')
    disk.crash()
    disk.crash({ cache: 'kept', lock: 'kept' })
    expect(await lockBy(fifth)).toBe('none')
  })
})
