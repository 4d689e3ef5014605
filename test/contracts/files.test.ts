import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { indexedDbFiles } from '@weft-db/storage/indexeddb'
import { memoryFiles } from '@weft-db/storage/memory'
import { nodeFiles } from '@weft-db/storage/node'
import { afterAll, vi } from 'vitest'
import { filesContract } from './files.ts'

const made: string[] = []
afterAll(async () => {
  for (const path of made) await rm(path, { recursive: true })
})

filesContract('node', async () => {
  const path = await mkdtemp(join(tmpdir(), 'weft-files-'))
  made.push(path)
  return { files: nodeFiles(join(path, 'below', 'store')), reopen: async () => nodeFiles(join(path, 'below', 'store')) }
})

filesContract('memory', async () => {
  const files = memoryFiles()
  return { files, reopen: async () => files }
})

// A dependency of packages/storage, which is what is tested with it.
const require = createRequire(new URL('../../packages/storage/package.json', import.meta.url))
const {
  IDBFactory,
  IDBKeyRange,
}: { IDBFactory: new () => IDBFactory; IDBKeyRange: unknown } = require('fake-indexeddb')
vi.stubGlobal('indexedDB', new IDBFactory())
vi.stubGlobal('IDBKeyRange', IDBKeyRange)
afterAll(() => vi.unstubAllGlobals())

let databases = 0
filesContract('indexeddb', async () => {
  const name = `files-${databases++}`
  return { files: await indexedDbFiles(name), reopen: () => indexedDbFiles(name) }
})
