import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WeftError } from '@weft-db/engine'
import { browserRuntime, indexedDbKeys, memoryKeys } from '@weft-db/runtime/browser'
import { fileKeys, nodeRuntime } from '@weft-db/runtime/node'
import { afterAll, expect, test, vi } from 'vitest'
import { keysContract } from './keys.ts'

// A dependency of packages/storage, whose adapter it is there for.
const require = createRequire(new URL('../../packages/storage/package.json', import.meta.url))
const { IDBFactory }: { IDBFactory: new () => IDBFactory } = require('fake-indexeddb')
vi.stubGlobal('indexedDB', new IDBFactory())
afterAll(() => vi.unstubAllGlobals())

keysContract('memory', nodeRuntime(), () => {
  const keys = memoryKeys()
  return { keys, reopen: () => keys }
})

const folder = mkdtempSync(join(tmpdir(), 'weft-keys-'))
afterAll(() => rmSync(folder, { recursive: true }))
let stores = 0
keysContract('files', nodeRuntime(), () => {
  const store = stores++
  const open = () => fileKeys((name) => join(folder, `${store}-${name}.key`))
  return { keys: open(), reopen: open }
})

let databases = 0
keysContract('indexeddb', browserRuntime(), () => {
  const name = `keys-${databases++}`
  return { keys: indexedDbKeys(name), reopen: () => indexedDbKeys(name) }
})

test('IndexedDB keeps the private key itself, never its bytes', async () => {
  const keys = indexedDbKeys('stolen')
  await keys.save('session', await browserRuntime().generateKey())
  const stored = await new Promise<{ pair: CryptoKeyPair }>((resolve) => {
    const request = indexedDB.open('stolen')
    request.onsuccess = () => {
      const got: IDBRequest<{ pair: CryptoKeyPair }> = request.result
        .transaction('keys')
        .objectStore('keys')
        .get('session')
      got.onsuccess = () => {
        request.result.close()
        resolve(got.result)
      }
    }
  })
  expect(stored.pair.privateKey.extractable).toBe(false)
  await expect(crypto.subtle.exportKey('pkcs8', stored.pair.privateKey)).rejects.toThrow()
})

test('a key of another making cannot be kept in IndexedDB, and it says so', async () => {
  const error: unknown = await indexedDbKeys('other')
    .save('session', await nodeRuntime().generateKey())
    .catch((reason: unknown) => reason)
  expect(error instanceof WeftError && error.code).toBe('NoStorage')
})

test('a page without crypto.subtle is told how to get one', async () => {
  const platform = globalThis.crypto
  vi.stubGlobal('crypto', { getRandomValues: crypto.getRandomValues })
  const error: unknown = await browserRuntime()
    .generateKey()
    .catch((reason: unknown) => reason)
  vi.stubGlobal('crypto', platform)
  expect(error instanceof WeftError && error.code).toBe('InsecurePage')
})
