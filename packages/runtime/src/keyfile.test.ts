import { generateKeyPairSync } from 'node:crypto'
import { chmod, link, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WeftError } from '@weft-db/engine'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fileKeys, loadOrCreateKeyFile, nodeRuntime } from './node.ts'

const folder = { path: '' }
beforeEach(async () => {
  folder.path = await mkdtemp(join(tmpdir(), 'weft-keyfile-'))
})
afterEach(() => rm(folder.path, { recursive: true }))

const refusedWith = async (path: string): Promise<WeftError> => {
  const error: unknown = await loadOrCreateKeyFile(path).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof WeftError)) throw new Error('expected a WeftError', { cause: error })
  return error
}

test('[H4] a key is made once, for its owner alone, and is the same ever after', async () => {
  const path = join(folder.path, 'authority.pem')
  const made = await loadOrCreateKeyFile(path)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readFile(path, 'utf8')).toMatch(/^-----BEGIN PRIVATE KEY-----/)
  expect(await readdir(folder.path)).toEqual(['authority.pem'])

  const loaded = await loadOrCreateKeyFile(path)
  expect(loaded.publicKey).toEqual(made.publicKey)
  const message = new Uint8Array([1, 2, 3])
  expect(await nodeRuntime().verify(made.publicKey, message, await loaded.sign(message))).toBe(true)
})

test('of many that make it at once all end with one key, and no draft stays', async () => {
  const path = join(folder.path, 'authority.pem')
  const keys = await Promise.all(Array.from({ length: 16 }, () => loadOrCreateKeyFile(path)))
  expect(new Set(keys.map((key) => key.publicKey.join())).size).toBe(1)
  expect(await readdir(folder.path)).toEqual(['authority.pem'])
})

test('[H4] a key that group or others have any right to is refused, with the line that mends it', async () => {
  const path = join(folder.path, 'authority.pem')
  const made = await loadOrCreateKeyFile(path)
  for (const mode of [0o640, 0o604, 0o620, 0o610, 0o644, 0o666]) {
    await chmod(path, mode)
    const error = await refusedWith(path)
    expect(error.code).toBe('KeyExposed')
    expect(error.message).toContain(`chmod 600 ${path}`)
    expect((await stat(path)).mode & 0o777, 'left as it is').toBe(mode)
  }
  await chmod(path, 0o400)
  expect((await loadOrCreateKeyFile(path)).publicKey).toEqual(made.publicKey)
})

test('a symbolic link is judged by the file it leads to', async () => {
  const path = join(folder.path, 'authority.pem')
  const made = await loadOrCreateKeyFile(path)
  await symlink(path, join(folder.path, 'link'))
  expect((await loadOrCreateKeyFile(join(folder.path, 'link'))).publicKey).toEqual(made.publicKey)
  await chmod(path, 0o644)
  expect((await refusedWith(join(folder.path, 'link'))).code).toBe('KeyExposed')
})

test('what is no P-256 private key is refused, and never replaced', async () => {
  const path = join(folder.path, 'authority.pem')
  const pem = { type: 'pkcs8', format: 'pem' } as const
  const contents = [
    '',
    'not a key',
    generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey.export(pem),
    generateKeyPairSync('ed25519').privateKey.export(pem),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'pem' }),
  ]
  for (const content of contents) {
    await writeFile(path, content, { mode: 0o600 })
    expect((await refusedWith(path)).code).toBe('BadKey')
    expect(await readFile(path, 'utf8')).toBe(content)
  }
})

test('a folder that is not there is a disk error', async () => {
  expect((await refusedWith(join(folder.path, 'absent', 'authority.pem'))).code).toBe('DiskError')
})

describe('session keys', () => {
  const keys = () => fileKeys((name) => join(folder.path, `${name}.key`))

  test('are stored when they are saved and not before, for their owner alone', async () => {
    expect(await keys().load('session')).toBeUndefined()
    expect(await readdir(folder.path)).toEqual([])
    const made = await nodeRuntime().generateKey()
    await keys().save('session', made)
    expect((await stat(join(folder.path, 'session.key'))).mode & 0o777).toBe(0o600)
    const { ino } = await stat(join(folder.path, 'session.key'))
    await keys().save('session', made)
    expect((await stat(join(folder.path, 'session.key'))).ino, 'the same key is not written again').toBe(ino)
    expect(await readdir(folder.path)).toEqual(['session.key'])
    expect((await loadOrCreateKeyFile(join(folder.path, 'session.key'))).publicKey).toEqual(made.publicKey)
  })

  test('leave nothing when they are removed, not even in drafts or under other names of the file', async () => {
    const path = join(folder.path, 'session.key')
    await keys().save('session', await nodeRuntime().generateKey())
    await keys().save('other', await nodeRuntime().generateKey())
    const pem = await readFile(path, 'utf8')
    await writeFile(`${path}.00000000-0000-4000-8000-000000000000`, pem)
    await link(path, join(folder.path, 'linked'))
    await keys().remove('session')
    expect(await readdir(folder.path)).toEqual(['linked', 'other.key'])
    expect(await readFile(join(folder.path, 'linked'), 'utf8')).toBe('')
    expect(await keys().load('other')).toBeDefined()
    await keys().remove('session')
    await fileKeys((name) => join(folder.path, 'absent', name)).remove('session')
  })

  test('of another making are refused', async () => {
    const error: unknown = await keys()
      .save('session', { publicKey: new Uint8Array(65), sign: async () => new Uint8Array(64) })
      .catch((reason: unknown) => reason)
    expect(error instanceof WeftError && error.code).toBe('NoStorage')
    expect(await readdir(folder.path)).toEqual([])
  })
})
