/** The page of the browser's contract tests: the suites of test/contracts over the adapters that a browser gets. */
import { type Runtime, StorageError, WeftError } from '@weft-db/engine'
import { browserRuntime, indexedDbKeys, memoryKeys } from '@weft-db/runtime/browser'
import { indexedDbFiles } from '@weft-db/storage/indexeddb'
import { memoryFiles } from '@weft-db/storage/memory'
import { opfsFiles } from '@weft-db/storage/opfs'
import { webrtcTransport } from '@weft-db/webrtc'
import { describe, expect, test } from 'vitest'
import { filesContract } from '../../contracts/files.ts'
import { keysContract } from '../../contracts/keys.ts'
import { peerPair } from '../../contracts/peers.ts'
import { runtimeContract } from '../../contracts/runtime.ts'
import { signaturesContract } from '../../contracts/signatures.ts'
import { transportContract } from '../../contracts/transport.ts'
import { fromPage } from './acceptor.ts'
import { detour } from './detour.ts'
import { openJournal } from './journal.ts'
import { PeerEnd } from './peer.ts'
import { caseNames, runCase } from './vitest.ts'

/** What the test outside calls, and what it offers: keys of Node's runtime, as hexadecimal text. */
const stand = {
  caseNames,
  runCase,
  openJournal,
  indexedDbFiles,
  StorageError,
  peer: new PeerEnd(webrtcTransport()),
}
declare global {
  var weft: typeof stand
  var peerSignal: (signal: string) => Promise<void>
  var nodeKey: () => Promise<string>
  var nodeSign: (publicKey: string, message: string) => Promise<string>
  var nodeVerify: (publicKey: string, message: string, signature: string) => Promise<boolean>
}
globalThis.weft = stand

let made = 0
filesContract('indexeddb', async () => {
  const name = `files-${made++}`
  return { files: await indexedDbFiles(name), reopen: () => indexedDbFiles(name) }
})
filesContract('opfs', async () => {
  const name = `files-${made++}`
  return { files: opfsFiles(name), reopen: async () => opfsFiles(name) }
})
filesContract('memory', async () => {
  const files = memoryFiles()
  return { files, reopen: async () => files }
})

const toHex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
const fromHex = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
/** Node's own keys and verification, asked of the process outside. */
const node = (): Runtime => ({
  ...browserRuntime(),
  generateKey: async () => {
    const publicKey = await nodeKey()
    return {
      publicKey: fromHex(publicKey),
      sign: async (message) => fromHex(await nodeSign(publicKey, toHex(message))),
    }
  },
  verify: (publicKey, message, signature) => nodeVerify(toHex(publicKey), toHex(message), toHex(signature)),
})
runtimeContract('browser', browserRuntime, { node })
signaturesContract('browser', browserRuntime)

keysContract('indexeddb', browserRuntime(), () => {
  const name = `keys-${made++}`
  return { keys: indexedDbKeys(name), reopen: () => indexedDbKeys(name) }
})
keysContract('memory', browserRuntime(), () => {
  const keys = memoryKeys()
  return { keys, reopen: () => keys }
})

describe('keys: indexeddb of a browser', () => {
  test('no script reads the private key, neither the one made nor the one kept', async () => {
    const keys = indexedDbKeys('stolen')
    await keys.save('session', await browserRuntime().generateKey())
    const stored = await new Promise<{ pair: CryptoKeyPair }>((resolve, reject) => {
      const request = indexedDB.open('stolen')
      request.onerror = () => reject(request.error)
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
    for (const format of ['pkcs8', 'jwk'] as const) {
      await expect(crypto.subtle.exportKey(format, stored.pair.privateKey)).rejects.toThrow()
    }
  })

  test('a key of another making is refused', async () => {
    const key = { publicKey: new Uint8Array(65), sign: async () => new Uint8Array(64) }
    const error: unknown = await indexedDbKeys('other')
      .save('session', key)
      .catch((reason: unknown) => reason)
    expect(error instanceof WeftError && error.code).toBe('NoStorage')
  })
})

transportContract('socket.io from a page', fromPage)
transportContract('webrtc in a page', async () => peerPair(async () => webrtcTransport(), await detour()))

/** Runs what the server of this page asks for, one case after another. */
const serve = async (): Promise<void> => {
  for (;;) {
    const name = await (await fetch('/next')).text()
    await fetch('/told', { method: 'POST', body: JSON.stringify({ name, failure: await runCase(name) }) })
  }
}
if (location.hash === '#serve') void serve()

// Cases that must not pass, or nothing here means anything.
describe('planted', () => {
  test('wrong value', () => expect([1, 2]).toEqual([1, 3]))
  test('wrong promise', async () => {
    await expect(Promise.resolve(1)).rejects.toThrow()
  })
  test('wrong throw', () => expect(() => undefined).toThrow())
  test('wrong shape', () => expect({ code: 'a' }).toEqual(expect.objectContaining({ code: 'b' })))
  test('forgotten rejection', () => void Promise.reject(new Error('nobody waits for this')))
  test('right', () => expect([1, 2]).toEqual([1, 2]))
})
