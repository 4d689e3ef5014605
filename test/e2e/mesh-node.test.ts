/** A member in Node among browsers: it meets them as they meet each other. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Card, rules, schemas } from '@weft-db/demo/shared'
import { anonymous, type Database } from '@weft-db/weft'
import { open, webrtcTransport } from '@weft-db/weft/node'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Members, untilCards, untilMet, untilSaved, untilServerless, write } from './members.ts'

let members: Members
let folder: string
let database: Database | undefined
beforeEach(async () => {
  members = await Members.start()
  folder = await mkdtemp(join(tmpdir(), 'weft-node-member-'))
})
afterEach(async () => {
  await database?.close()
  await members.end()
  await rm(folder, { recursive: true })
})

test('two browsers and Node: edits pass both ways with the server killed, and reach it when it is back', async () => {
  const [ada, link] = await members.found('Ada')
  const bob = await members.follow(link, 'Bob')
  const [, name = '', code = ''] = /#\/([^/]+)\/invite\/([^/]+)$/.exec(link) ?? []
  const transport = await webrtcTransport({ load: () => import('@roamhq/wrtc') })
  const node = open({
    url: members.server.url,
    schemas,
    rules,
    directory: join(folder, 'store'),
    mesh: { transport, mode: 'direct' },
  })
  database = node
  const board = node.repository(`/board/${name}`)
  await node.login(anonymous('Node'))
  await node.join(board.path, code)
  const titles = (): string[] => (board.query(Card).current ?? []).map(({ title }) => title).sort()
  const until = (...wanted: string[]): Promise<void> =>
    expect.poll(titles, { timeout: 30_000, interval: 50 }).toEqual([...wanted].sort())

  await untilMet([ada, bob], 2)
  await expect.poll(() => node.mesh.paths.map(({ kind }) => kind), { timeout: 30_000 }).toEqual(['direct', 'direct'])
  await write(ada, 'By the server')
  await until('By the server')
  await members.server.end('SIGKILL')
  await untilServerless([ada, bob])
  await write(ada, 'From a browser')
  await until('By the server', 'From a browser')
  board.create(Card, { title: 'From Node', column: board.query(Card).current?.[0]?.column ?? '' })
  await untilCards([ada, bob], 'By the server', 'From a browser', 'From Node')
  await members.server.start()
  await untilSaved([ada, bob])
  await expect.poll(() => node.status.unacknowledged, { timeout: 30_000 }).toBe(0)
})
