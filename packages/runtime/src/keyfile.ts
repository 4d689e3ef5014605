/**
 * A private key in a file of its own: PKCS#8 PEM, readable by its owner alone. It is complete or absent: a crash while it is made
 * leaves no half of a key, and of two processes that make it at once both end with the same one.
 */
import { createPrivateKey, type KeyObject, randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { link, open, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type SigningKey, StorageError, WeftError } from '@weft-db/engine'
import { generatePrivateKey, objectKey } from './keyobject.ts'

/**
 * The key in the file at `path`, made when there is none. Rejects with `WeftError`: `KeyExposed` when group or others have any right to
 * the file, `BadKey` when it holds no P-256 key, `DiskFull` or `DiskError` when it could not be read or written.
 */
export const loadOrCreateKeyFile = async (path: string): Promise<SigningKey> => {
  try {
    return objectKey((await read(path)) ?? (await create(path)))
  } catch (error) {
    if (error instanceof WeftError) throw error
    const full = codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT'
    throw new StorageError(full ? 'DiskFull' : 'DiskError', path, { cause: error })
  }
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

const read = async (path: string): Promise<KeyObject | undefined> => {
  const handle = await open(path, constants.O_RDONLY).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  })
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
  const draft = `${path}.${randomUUID()}`
  const handle = await open(draft, 'wx', 0o600)
  try {
    await handle.writeFile(key.export({ type: 'pkcs8', format: 'pem' }))
    await handle.sync()
    // Unlike rename, link fails when the name is taken.
    await link(draft, path)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    const other = await read(path)
    if (other === undefined) throw error
    return other
  } finally {
    await handle.close()
    await unlink(draft)
  }
  await syncFolder(dirname(path))
  return key
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
