/**
 * Private keys in files, each in one of its own: PKCS#8 PEM, readable by its owner alone. A file is complete or absent: a crash
 * while it is made leaves no half of a key, and of two processes that make it at once both end with the same one.
 */
import { createPrivateKey, type KeyObject, randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, link, open, readdir, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type KeyStore, type SigningKey, StorageError, WeftError } from '@weft-db/engine'
import { generatePrivateKey, objectKey, objectOf } from './keyobject.ts'

/**
 * The key in the file at `path`, made when there is none. Rejects with `WeftError`: `KeyExposed` when group or others have any right to
 * the file, `BadKey` when it holds no P-256 key, `DiskFull` or `DiskError` when it could not be read or written.
 */
export const loadOrCreateKeyFile = (path: string): Promise<SigningKey> =>
  guarded(path, async () => objectKey((await read(path)) ?? (await create(path))))

/**
 * Session keys, each in a file of its own; `pathOf` says where. Rejects as `loadOrCreateKeyFile` does, and with `NoStorage` for a key that
 * Node's own runtime did not make. A removed key is emptied first: a removal that a crash takes back brings no key back.
 */
export const fileKeys = (pathOf: (name: string) => string): KeyStore => ({
  load: (name) =>
    guarded(pathOf(name), async () => {
      const held = await read(pathOf(name))
      return held && objectKey(held)
    }),
  save: (name, key) =>
    guarded(pathOf(name), async () => {
      const path = pathOf(name)
      const object = objectOf(key)
      if (object === undefined) throw new WeftError('NoStorage', name)
      if ((await read(path))?.equals(object) === true) return
      const draft = draftOf(path)
      await write(draft, object)
      await rename(draft, path)
      await syncFolder(dirname(path))
    }),
  remove: (name) =>
    guarded(pathOf(name), async () => {
      const path = pathOf(name)
      // A crash may have left drafts, each of them a key.
      const prefix = `${basename(path)}.`
      const drafts = (await readdir(dirname(path)).catch(absent))?.filter(
        (file) => file.startsWith(prefix) && draftPattern.test(file.slice(prefix.length)),
      )
      if (drafts === undefined) return
      for (const file of [...drafts.map((draft) => join(dirname(path), draft)), path]) await erase(file)
      await syncFolder(dirname(path))
    }),
})

const guarded = async <Result>(path: string, use: () => Promise<Result>): Promise<Result> => {
  try {
    return await use()
  } catch (error) {
    if (error instanceof WeftError) throw error
    const full = codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT'
    throw new StorageError(full ? 'DiskFull' : 'DiskError', path, { cause: error })
  }
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

const absent = (error: unknown): undefined => {
  if (codeOf(error) !== 'ENOENT') throw error
}

const draftOf = (path: string): string => `${path}.${randomUUID()}`
const draftPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

const erase = async (path: string): Promise<void> => {
  // A file that may be read and not written is removed as it is.
  const handle: FileHandle | undefined = await open(path, constants.O_WRONLY).catch((error: unknown) =>
    codeOf(error) === 'EACCES' ? undefined : absent(error),
  )
  try {
    await handle?.truncate(0)
    await handle?.sync()
  } finally {
    await handle?.close()
  }
  await unlink(path).catch(absent)
}

const read = async (path: string): Promise<KeyObject | undefined> => {
  const handle = await open(path, constants.O_RDONLY).catch(absent)
  if (handle === undefined) return undefined
  try {
    // The open file is asked, not the name: between the two the name could change its meaning.
    const { mode } = await handle.stat()
    // Windows has no such modes; there the rights of the folder decide.
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) throw new WeftError('KeyExposed', `chmod 600 ${path}`)
    return parse(await handle.readFile('utf8'), path)
  } finally {
    await handle.close()
  }
}

const parse = (pem: string, path: string): KeyObject => {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch {
    // Without the cause: the parser's message is no place for a piece of a key to turn up.
    throw new WeftError('BadKey', path)
  }
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new WeftError('BadKey', path)
  return key
}

const create = async (path: string): Promise<KeyObject> => {
  const key = await generatePrivateKey()
  const draft = draftOf(path)
  await write(draft, key)
  try {
    // Unlike rename, link fails when the name is taken.
    await link(draft, path)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    const other = await read(path)
    if (other === undefined) throw error
    return other
  } finally {
    await unlink(draft)
  }
  await syncFolder(dirname(path))
  return key
}

/** Leaves no half of a draft when it fails. */
const write = async (draft: string, key: KeyObject): Promise<void> => {
  const handle = await open(draft, 'wx', 0o600)
  try {
    await handle.writeFile(key.export({ type: 'pkcs8', format: 'pem' }))
    await handle.sync()
  } catch (error) {
    await unlink(draft)
    throw error
  } finally {
    await handle.close()
  }
}

const syncFolder = async (path: string): Promise<void> => {
  if (process.platform === 'win32') return
  const handle = await open(path, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
