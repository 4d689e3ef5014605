/**
 * A store's folder or a backup of one, read and never written: no file is opened for writing, nothing is locked, cut or copied, so that an
 * audit or a backup runs beside a server and on a folder that must stay as it is. Sizes are taken before contents: a log that grows meanwhile
 * is read as it was.
 */
import { constants } from 'node:fs'
import { type FileHandle, lstat, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type AuditSource, logName } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { isLocked } from '@weft-db/storage/node'
import { decodeManifest, type Manifest, manifestName } from './manifest.ts'
import { Usage } from './output.ts'

export const rootName = logName('/sys', nodeRuntime())
/** Between two looks at what is being written, ms. */
const pause = 200

export interface Folder extends AuditSource {
  /** Whether a program has the folder open. */
  readonly inUse: boolean
  /** What it holds, when it is a backup. */
  readonly manifest: Manifest | undefined
}

/** A file that is only read. */
export interface OpenFile {
  size(): Promise<number>
  /** Up to `length` bytes; fewer at the end of the file. */
  read(offset: number, length: number): Promise<Uint8Array>
  /** What it holds is on the disk when this resolves, whoever wrote it. */
  settle(): Promise<void>
  close(): Promise<void>
}

/** Undefined when it is not there. */
export const openToRead = async (path: string): Promise<OpenFile | undefined> => {
  const handle = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)).catch(absent)
  return (
    handle && {
      size: async () => (await handle.stat()).size,
      read: (offset, length) => readFrom(handle, offset, length),
      // Windows syncs nothing that is open to be read.
      settle: () => (process.platform === 'win32' ? Promise.resolve() : handle.sync()),
      close: () => handle.close(),
    }
  )
}

const readFrom = async (handle: FileHandle, offset: number, length: number): Promise<Uint8Array> => {
  const { size } = await handle.stat()
  const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)))
  for (let filled = 0; filled < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, offset + filled)
    if (bytesRead === 0) return bytes.subarray(0, filled)
    filled += bytesRead
  }
  return bytes
}

/** All of a file; undefined when it is not there. */
export const readWhole = async (path: string, size = Number.MAX_SAFE_INTEGER): Promise<Uint8Array | undefined> => {
  const file = await openToRead(path)
  try {
    return await file?.read(0, size)
  } finally {
    await file?.close()
  }
}

/** A moment, for whoever writes to go on. */
export const aMoment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, pause))

/** Throws `Usage` for what is no folder. */
export const mustBeFolder = async (path: string): Promise<void> => {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (!isFolder) throw new Usage(`${path} is not a folder`)
}

/** Names of the files in a folder. A store makes no folders and follows no links; what is not a file cannot be taken for one of its logs. */
export const namesIn = async (path: string): Promise<string[]> => {
  const entries = await readdir(path, { withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
}

/** What the backup in a folder holds; undefined when there is none. Throws `BackupCorrupt` when that cannot be read. */
export const manifestIn = async (path: string): Promise<Manifest | undefined> => {
  const bytes = await readWhole(join(path, manifestName))
  return bytes && decodeManifest(bytes)
}

/** Rejects with the system's error when the folder cannot be read. */
export const openFolder = async (path: string): Promise<Folder> => {
  const manifest = await manifestIn(path)
  if (manifest !== undefined) return backupFolder(path, manifest)
  const inUse = await isLocked(path)
  const read = async (name: string, size: number): Promise<Uint8Array> => {
    const bytes = await readWhole(join(path, name), size)
    if (bytes === undefined) throw Object.assign(new Error(`${name} is gone`), { syscall: 'open', code: 'ENOENT' })
    return bytes
  }
  const list = async (): Promise<{ name: string; size: number }[]> => {
    const names = await namesIn(path)
    const files: { name: string; size: number }[] = []
    // The root log is the last: the others name what stands in it.
    for (const name of [...names.filter((one) => one !== rootName), ...names.filter((one) => one === rootName)])
      files.push({ name, size: (await lstat(join(path, name))).size })
    return files
  }
  const later = async (name: string): Promise<Uint8Array> => {
    await aMoment()
    return read(name, Number.MAX_SAFE_INTEGER)
  }
  return { inUse, manifest, list, read, ...(inUse && { later }) }
}

const backupFolder = (path: string, manifest: Manifest): Folder => ({
  inUse: false,
  manifest,
  list: async () => manifest.files.map(({ name, size }) => ({ name, size })),
  read: async (name, size) => {
    const kept = manifest.files.find((file) => file.name === name)
    if (kept === undefined) return new Uint8Array(0)
    return (await readWhole(join(path, kept.stored), Math.min(size, kept.size))) ?? new Uint8Array(0)
  },
})

export const absent = (error: unknown): undefined => {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
}
