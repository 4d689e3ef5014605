/**
 * What every implementation of the `Files` port promises. It imports nothing of a platform, so that the same suite runs in Node and in a
 * browser. (What survives a power cut no suite can show; test/sim has a disk of its own for that.)
 */
import { type File, type Files, StorageError } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'

/** An empty directory; `reopen` gives a second opener of the same one. */
export type MakeFiles = () => Promise<{ files: Files; reopen: () => Promise<Files> }>

const create = async (files: Files, name: string): Promise<File> => {
  const file = await files.open(name, true)
  if (file === undefined) throw new Error('open with create gave nothing')
  return file
}

const write = async (file: File, offset: number, bytes: Uint8Array): Promise<void> => {
  let written = 0
  while (written < bytes.length) written += await file.write(offset + written, bytes.subarray(written))
}

const content = async (files: Files, name: string): Promise<number[] | undefined> => {
  const file = await files.open(name, false)
  if (file === undefined) return undefined
  const bytes = await file.read(0, 1_000_000)
  expect(bytes.length).toBe(await file.size())
  await file.close()
  return [...bytes]
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof StorageError ? error.code : `not a StorageError: ${error}`),
  )

/** Mulberry32: the same numbers in [0, 1) for the same seed. */
const randomOf = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export const filesContract = (name: string, make: MakeFiles): void => {
  describe(`files: ${name}`, () => {
    test('an absent file is undefined, and is made by create alone', async () => {
      const { files } = await make()
      expect(await files.open('a', false)).toBeUndefined()
      expect(await files.list()).toEqual([])
      const file = await create(files, 'a')
      expect(await file.size()).toBe(0)
      expect(await file.read(0, 10)).toHaveLength(0)
      await file.close()
      expect(await files.list()).toEqual(['a'])
      expect(await content(files, 'a')).toEqual([])
    })

    test('what was written and synced is there for the next opener', async () => {
      const { files, reopen } = await make()
      const file = await create(files, 'log.0')
      await write(file, 0, Uint8Array.of(1, 2, 3))
      await write(file, 3, Uint8Array.of(4, 5))
      expect(await file.size()).toBe(5)
      await file.sync()
      await files.syncNames()
      await file.close()
      expect(await content(await reopen(), 'log.0')).toEqual([1, 2, 3, 4, 5])
      const again = await create(await reopen(), 'log.0')
      expect(await again.size(), 'create leaves a file that is there as it is').toBe(5)
      await again.close()
    })

    test('a write is seen by reads after it, also before it is synced and through another handle', async () => {
      const { files } = await make()
      const [one, two] = [await create(files, 'a'), await create(files, 'a')]
      await write(one, 0, Uint8Array.of(1, 2, 3))
      expect([...(await two.read(0, 10))]).toEqual([1, 2, 3])
      await one.close()
      expect([...(await two.read(0, 10))]).toEqual([1, 2, 3])
      await two.close()
    })

    test('reading gives what is there: a part, less at the end, nothing behind it', async () => {
      const { files } = await make()
      const file = await create(files, 'a')
      await write(file, 0, Uint8Array.of(1, 2, 3, 4))
      expect([...(await file.read(1, 2))]).toEqual([2, 3])
      expect([...(await file.read(2, 100))]).toEqual([3, 4])
      for (const [offset, length] of [
        [4, 1],
        [100, 5],
        [1, 0],
        [0, 0],
      ] as const) {
        expect(await file.read(offset, length)).toHaveLength(0)
      }
      await file.close()
    })

    test('bytes are taken as they are at the call, and given as a copy', async () => {
      const { files } = await make()
      const file = await create(files, 'a')
      const bytes = new Uint8Array(1_000).fill(9)
      bytes.set([1, 2, 3], 500)
      await write(file, 0, bytes.subarray(500, 503))
      bytes.fill(0)
      const read = await file.read(0, 3)
      expect([...read]).toEqual([1, 2, 3])
      read.fill(0)
      expect([...(await file.read(0, 3))]).toEqual([1, 2, 3])
      await file.close()
    })

    test('a write behind the end leaves zeros between, and a longer file is filled with them', async () => {
      const { files } = await make()
      const file = await create(files, 'a')
      await write(file, 3, Uint8Array.of(7))
      expect([...(await file.read(0, 10))]).toEqual([0, 0, 0, 7])
      await file.truncate(6)
      expect([...(await file.read(0, 10))]).toEqual([0, 0, 0, 7, 0, 0])
      // What was cut must not come back when the file grows again.
      await write(file, 0, Uint8Array.of(1, 2, 3, 4, 5, 6))
      await file.truncate(2)
      await file.truncate(5)
      expect([...(await file.read(0, 10))]).toEqual([1, 2, 0, 0, 0])
      await write(file, 6, Uint8Array.of(8))
      expect([...(await file.read(0, 10))]).toEqual([1, 2, 0, 0, 0, 0, 8])
      await file.close()
    })

    test.each([1, 2, 3, 4])('overlapping writes, cuts and reads agree with a plain array (seed %i)', async (seed) => {
      const { files, reopen } = await make()
      const random = randomOf(seed)
      const below = (limit: number): number => Math.floor(random() * limit)
      const file = await create(files, 'a')
      let model: number[] = []
      for (let step = 0; step < 200; step++) {
        const offset = below(model.length + 8)
        const choice = random()
        if (choice < 0.6) {
          const at = choice < 0.2 ? model.length : offset
          const bytes = Array.from({ length: below(24) }, () => below(256))
          if (bytes.length > 0) while (model.length < at) model.push(0)
          model.splice(at, bytes.length, ...bytes)
          await write(file, at, Uint8Array.from(bytes))
        } else if (choice < 0.7) {
          await file.truncate(offset)
          model = Array.from({ length: offset }, (_, index) => model[index] ?? 0)
        } else if (choice < 0.75) await file.sync()
        else {
          const length = below(40)
          const expected = model.slice(offset, offset + length)
          expect([...(await file.read(offset, length))], `seed ${seed}, step ${step}`).toEqual(expected)
        }
        if (step % 20 === 0) expect(await file.size(), `seed ${seed}, step ${step}`).toBe(model.length)
      }
      await file.sync()
      await file.close()
      expect(await content(await reopen(), 'a'), `seed ${seed}`).toEqual(model)
    })

    test('a larger log, appended in small parts, is read whole', async () => {
      const { files, reopen } = await make()
      const file = await create(files, 'a')
      for (let index = 0; index < 500; index++) await write(file, index * 100, new Uint8Array(100).fill(index % 251))
      await write(file, 50_000, new Uint8Array(1_500_000).fill(99))
      await file.sync()
      await file.close()
      const again = await create(await reopen(), 'a')
      expect(await again.size()).toBe(1_550_000)
      let offset = 0
      for (let piece = await again.read(0, 65_536); piece.length > 0; piece = await again.read(offset, 65_536)) {
        const at = offset
        const wrong = piece.findIndex((byte, index) => {
          const place = at + index
          return byte !== (place < 50_000 ? Math.floor(place / 100) % 251 : 99)
        })
        expect(wrong).toBe(-1)
        offset += piece.length
      }
      expect(offset).toBe(1_550_000)
      await again.close()
    })

    test('rename replaces what is there, and an absent file cannot be renamed', async () => {
      const { files, reopen } = await make()
      for (const [name, byte] of [
        ['a', 1],
        ['b', 2],
      ] as const) {
        const file = await create(files, name)
        await write(file, 0, Uint8Array.of(byte, byte))
        await file.sync()
        await file.close()
      }
      await files.rename('a', 'b')
      await files.syncNames()
      expect(await files.list()).toEqual(['b'])
      expect(await content(await reopen(), 'b')).toEqual([1, 1])
      expect(await content(files, 'a')).toBeUndefined()
      expect(await codeOf(files.rename('a', 'c'))).toBe('DiskError')
      await files.rename('b', 'b')
      expect(await content(files, 'b')).toEqual([1, 1])
    })

    test('a removed file is gone, its bytes too, and removing an absent one is no error', async () => {
      const { files, reopen } = await make()
      const file = await create(files, 'a')
      await write(file, 0, Uint8Array.of(1, 2, 3))
      await file.sync()
      await file.close()
      await files.remove('a')
      await files.remove('a')
      await files.syncNames()
      expect(await (await reopen()).list()).toEqual([])
      expect(await content(files, 'a')).toBeUndefined()
      const anew = await create(files, 'a')
      await anew.truncate(3)
      expect([...(await anew.read(0, 3))]).toEqual([0, 0, 0])
      await anew.close()
    })

    test('names are listed in order, and what is no name is refused', async () => {
      const { files } = await make()
      const names = ['0', 'a', 'a-b_c.d', 'log.torn', 'z'.repeat(80)]
      for (const name of names) await (await create(files, name)).close()
      expect(await files.list()).toEqual([...names].sort())
      for (const bad of ['', '.', '..', 'A', 'a/b', '../a', 'a\0', 'ä', 'a b', '=lock.1', 'a'.repeat(81)]) {
        expect(await codeOf(files.open(bad, true)), bad).toBe('DiskError')
        expect(await codeOf(files.remove(bad)), bad).toBe('DiskError')
        expect(await codeOf(files.rename('a', bad)), bad).toBe('DiskError')
      }
      expect(await files.list()).toEqual([...names].sort())
    })

    test('a closed file refuses', async () => {
      const { files } = await make()
      const file = await create(files, 'a')
      await file.close()
      const calls = [file.size(), file.read(0, 1), file.write(0, Uint8Array.of(1)), file.sync(), file.truncate(0)]
      for (const call of calls) expect(await codeOf(call)).toBe('DiskError')
    })

    test('one opener holds the lock, and another is refused at once until it is released', async () => {
      const { files, reopen } = await make()
      const release = await files.lock()
      const other = await reopen()
      expect(await codeOf(other.lock())).toBe('AlreadyOpen')
      expect(await codeOf(files.lock())).toBe('AlreadyOpen')
      await release()
      const releaseOther = await other.lock()
      // Released before: a second call must not take the lock from who has it now.
      await release()
      expect(await codeOf(files.lock())).toBe('AlreadyOpen')
      await releaseOther()
      await (await files.lock())()
      expect(await files.list()).toEqual([])
    })

    test('of many at once exactly one gets the lock, time and again', async () => {
      const { files, reopen } = await make()
      const openers = [files, await reopen(), await reopen(), await reopen()]
      for (let round = 0; round < 15; round++) {
        const tries = await Promise.allSettled(openers.flatMap((opener) => [opener.lock(), opener.lock()]))
        const winners = tries.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
        expect(winners).toHaveLength(1)
        for (const release of winners) await release()
      }
    })
  })
}
