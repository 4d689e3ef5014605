/**
 * What stands on disk before the store opens: the logs in one folder, and outside it the key that founded their network and what the server
 * must know after it lost the logs. A network whose key is gone cannot be served again, so a key is only made where neither exists.
 */
import { access, mkdir } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { type Files, type SigningKey, StorageError, WeftError } from '@weft-db/engine'
import { loadOrCreateKeyFile } from '@weft-db/runtime/node'
import { storageError } from '@weft-db/storage/node'

/** The authority's key, and the one before it when it is to be replaced. Rejects with a `WeftError` when it is lost, exposed, unreadable, or would lie among the logs. */
export const foundingKey = async (
  folders: readonly Files[],
  data: string,
  keyFile: string,
  previousKeyFile?: string,
): Promise<{ readonly key: SigningKey; readonly previous: SigningKey | undefined }> => {
  const path = resolve(keyFile)
  // A copy of the logs is handed out more readily than a key should be.
  const within = relative(resolve(data), path)
  if (within !== '..' && !within.startsWith(`..${sep}`))
    throw new WeftError('KeyExposed', `${path} lies in the data folder: mv it beside`)
  try {
    const names = (await Promise.all(folders.map((folder) => folder.list()))).flat()
    const logs = names.filter((name) => name.endsWith('.log'))
    const previousPath = previousKeyFile === undefined ? undefined : resolve(previousKeyFile)
    const needed = previousPath ?? path
    if (logs.length > 0 && !(await exists(needed))) throw new WeftError('KeyMissing', needed)
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const previous = previousPath === undefined ? undefined : await loadOrCreateKeyFile(previousPath)
    return { key: await loadOrCreateKeyFile(path), previous }
  } catch (error) {
    throw storeRefusal(error, data)
  }
}

/** Where landmarks are unless told: not among the logs, which are lost together, and not under the key's name, which may change. */
export const landmarksFolder = (data: string, keyFile: string): string =>
  join(dirname(resolve(keyFile)), `${basename(resolve(data))}.landmarks`)

const exists = async (path: string): Promise<boolean> => {
  try {
    await access(path)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}

const forbidden = new Set<unknown>(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENOENT'])

/** Says of a folder that cannot be used what an operator can do about it, where the port says only that the disk did not store. */
export const storeRefusal = (error: unknown, data: string): unknown => {
  const cause = error instanceof StorageError ? error.cause : error
  if (error instanceof WeftError && !(error instanceof StorageError)) return error
  // Only what comes of the system has a code without being ours.
  if (!forbidden.has(codeOf(cause))) return codeOf(error) === undefined ? error : storageError(error, resolve(data))
  const path = cause instanceof Error && 'path' in cause && typeof cause.path === 'string' ? cause.path : resolve(data)
  return new WeftError('NotWritable', `${path}: ${String(codeOf(cause))}`, { cause })
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)
