/**
 * A store's folder, read and never written: no file is opened for writing, nothing is locked, cut or copied, so that an audit runs beside a
 * server and on a folder that must stay as it is. Sizes are taken before contents: a log that grows meanwhile is read as it was.
 */
import { constants } from 'node:fs'
import { lstat, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type AuditSource, logName } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { isLocked } from '@weft-db/storage/node'

const root = logName('/sys', nodeRuntime())
/** Between two looks at a frame that is being written, ms. */
const pause = 200

export interface Folder extends AuditSource {
  /** Whether a program has the folder open. */
  readonly inUse: boolean
}

/** Rejects with the system's error when the folder cannot be read. */
export const openFolder = async (path: string): Promise<Folder> => {
  const inUse = await isLocked(path)
  const read = async (name: string, size: number): Promise<Uint8Array> => {
    const handle = await open(join(path, name), constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
    try {
      const bytes = new Uint8Array(Math.min(size, (await handle.stat()).size))
      for (let filled = 0; filled < bytes.length; ) {
        const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, filled)
        if (bytesRead === 0) return bytes.subarray(0, filled)
        filled += bytesRead
      }
      return bytes
    } finally {
      await handle.close()
    }
  }
  const list = async (): Promise<{ name: string; size: number }[]> => {
    const entries = await readdir(path, { withFileTypes: true })
    // A store makes no folders and follows no links; what is not a file cannot be taken for one of its logs.
    const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name)
    const files: { name: string; size: number }[] = []
    // The root log is the last: the others name what stands in it.
    for (const name of [...names.filter((one) => one !== root), ...names.filter((one) => one === root)])
      files.push({ name, size: (await lstat(join(path, name))).size })
    return files
  }
  const later = async (name: string): Promise<Uint8Array> => {
    await new Promise((resolve) => setTimeout(resolve, pause))
    return read(name, Number.MAX_SAFE_INTEGER)
  }
  return { inUse, list, read, ...(inUse && { later }) }
}
