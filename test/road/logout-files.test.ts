/** Logging out on the disk of a machine: the real server over loopback, real signatures, files in a folder, and the key file beside it. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { anonymous, saved } from '@weft-db/engine'
import { serve } from '@weft-db/server'
import { open } from '@weft-db/weft/node'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Card } from './lab.ts'

let folder: string
let server: Awaited<ReturnType<typeof serve>>
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-logout-'))
  server = await serve({ schemas: [Card], data: join(folder, 'server'), port: 0 })
})
afterEach(async () => {
  await server.close()
  await rm(folder, { recursive: true })
})

const start = () => open({ url: server.url, schemas: [Card], directory: join(folder, 'client', 'store') })

/** Every byte of the client's folder, names and all. */
const stored = async (): Promise<Buffer> => {
  const entries = await readdir(join(folder, 'client'), { recursive: true, withFileTypes: true })
  const all = entries.map(async (entry) => [
    Buffer.from(entry.name),
    ...(entry.isFile() ? [await readFile(join(entry.parentPath, entry.name))] : []),
  ])
  return Buffer.concat((await Promise.all(all)).flat())
}

const has = async (what: readonly string[]): Promise<boolean[]> => {
  const bytes = await stored()
  return what.map((one) => bytes.includes(one))
}

test('no file and no key is left, and the next person has another key', async () => {
  const ada = start()
  await ada.login(anonymous('Adelaide Ampersand'))
  const board = ada.repository('/board/roadmap')
  await board.ready
  const card = board.create(Card, { title: 'the title', notes: 'the notes' })
  await saved(card, 'authority')
  const owner = ada.person?.owner ?? ''
  const pem = await readFile(join(folder, 'client', 'store.key'), 'utf8')
  const secrets = ['Adelaide Ampersand', 'the title', 'the notes', owner, pem, 'PRIVATE KEY', 'store.key']
  expect(await has(secrets)).toEqual(secrets.map(() => true))
  const { network } = ada

  await ada.logout()
  expect(await has(secrets)).toEqual(secrets.map(() => false))
  expect((await readdir(join(folder, 'client', 'store'))).filter((name) => !name.startsWith('=lock.'))).toHaveLength(1)
  expect([ada.session, ada.network]).toEqual([undefined, network])
  await ada.close()

  const again = start()
  await again.opened
  expect([again.session, again.network]).toEqual([undefined, network])
  await again.login(anonymous('Bea'))
  expect(await readFile(join(folder, 'client', 'store.key'), 'utf8')).not.toBe(pem)
  const fresh = again.repository('/board/roadmap')
  await fresh.ready
  await saved(fresh.create(Card, { title: 'by Bea' }), 'authority')
  const { session } = again
  await again.close()
  const once = start()
  await once.opened
  expect(once.session).toEqual(session)
  await once.close()
})

test('the server hears of another key at once, over a new channel', async () => {
  const ada = start()
  await ada.login(anonymous('Ada'))
  await ada.logout()
  await ada.login(anonymous('Bea'))
  expect(ada.session?.name).toBe('Bea')
  await ada.close()
})
