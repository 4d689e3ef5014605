/**
 * Files in a directory of the file system, readable by their owner alone. Symbolic links are not followed, so that nobody who may write
 * beside the directory leads the log elsewhere.
 */
import { constants, writeSync } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { type File, type Files, StorageError } from '@weft-db/engine'
import { lockDirectory } from './lock.ts'
import { checkName, isName } from './name.ts'

export { isLocked } from './lock.ts'

/** The directory is made when it is first used. */
export const nodeFiles = (directory: string): Files => {
  const path = resolve(directory)
  let made: Promise<void> | undefined
  /** Runs `use` once the directory is there; a failure to make it is tried again by the next call. */
  const within = async <Result>(about: string, use: () => Promise<Result>): Promise<Result> => {
    try {
      made ??= makeDirectory(path)
      await made.catch((error: unknown) => {
        made = undefined
        throw error
      })
      return await use()
    } catch (error) {
      throw storageError(error, about)
    }
  }
  return {
    open: (name, create) =>
      within(name, async () => {
        checkName(name)
        const flags = constants.O_RDWR | (constants.O_NOFOLLOW ?? 0) | (create ? constants.O_CREAT : 0)
        const handle = await open(join(path, name), flags, 0o600).catch(absent)
        return handle && nodeFile(name, handle)
      }),
    list: () =>
      within(path, async () => {
        const entries = await readdir(path, { withFileTypes: true })
        return entries
          .filter((entry) => entry.isFile() && isName(entry.name))
          .map((entry) => entry.name)
          .sort()
      }),
    rename: (from, to) =>
      within(from, async () => {
        checkName(from)
        checkName(to)
        await rename(join(path, from), join(path, to))
      }),
    remove: (name) =>
      within(name, async () => {
        checkName(name)
        await unlink(join(path, name)).catch(absent)
      }),
    syncNames: () => within(path, () => syncDirectory(path)),
    lock: () => within(path, () => lockDirectory(path)),
  }
}

/** So few bytes go to the system's cache sooner than another thread is woken up to bring them there: what takes time is to sync them. */
const writtenAtOnce = 65_536

const nodeFile = (name: string, handle: FileHandle): File => {
  const run = async <Result>(use: () => Promise<Result>): Promise<Result> => {
    try {
      return await use()
    } catch (error) {
      throw storageError(error, name)
    }
  }
  return {
    size: () => run(async () => (await handle.stat()).size),
    read: (offset, length) =>
      run(async () => {
        const { size } = await handle.stat()
        const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)))
        let filled = 0
        while (filled < bytes.length) {
          const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, offset + filled)
          if (bytesRead === 0) break
          filled += bytesRead
        }
        return bytes.subarray(0, filled)
      }),
    write: (offset, bytes) =>
      run(async () =>
        bytes.length <= writtenAtOnce
          ? writeSync(handle.fd, bytes, 0, bytes.length, offset)
          : (await handle.write(bytes, 0, bytes.length, offset)).bytesWritten,
      ),
    sync: () => run(() => handle.datasync()),
    truncate: (size) => run(() => handle.truncate(size)),
    close: () => run(() => handle.close()),
  }
}

/** Makes the directory and those above it, and makes their names durable. */
const makeDirectory = async (path: string): Promise<void> => {
  const first = await mkdir(path, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let parent = dirname(path); ; parent = dirname(parent)) {
    await syncDirectory(parent)
    if (parent === dirname(first)) return
  }
}

/** Makes the names in a directory durable. Windows does so by itself and opens no directories. */
export const syncDirectory = async (path: string): Promise<void> => {
  if (process.platform === 'win32') return
  const handle = await open(path, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

const absent = (error: unknown): undefined => {
  if (codeOf(error) !== 'ENOENT') throw error
}

const full = new Set<unknown>(['ENOSPC', 'EDQUOT', 'EFBIG'])

/** What the file system said, as the port says it. */
export const storageError = (error: unknown, about: string): StorageError =>
  error instanceof StorageError
    ? error
    : new StorageError(full.has(codeOf(error)) ? 'DiskFull' : 'DiskError', about, { cause: error })
