/** `weft verify --repair`, and what a server does by itself with a log that is damaged in the middle. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { auditFolder, run } from '@weft-db/cli'
import {
  type AuditReport,
  anonymous,
  type Database,
  logName,
  lostSince,
  mendLog,
  type Repository,
  saved,
} from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { serve } from '@weft-db/server'
import { nodeFiles } from '@weft-db/storage/node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { crc32c } from '../../packages/engine/src/bytes/crc32c.ts'
import { frameKinds, scan } from '../../packages/engine/src/log/frame.ts'
import { encodeSeal } from '../../packages/engine/src/replica/seal.ts'
import { rootPath } from '../../packages/engine/src/trust/entry.ts'
import { until } from '../crash/watching.ts'
import { Stream } from '../sim/random.ts'
import { Card } from './lab.ts'
import { Mint } from './mint.ts'
import { boards, clientOf, copyOf, filesOf, makeStore, type Store } from './store.ts'

const runtime = nodeRuntime()
const [board] = boards
const [boardName, rootName] = [logName(board, runtime), logName(rootPath, runtime)]

let store: Store
let folder: string

beforeAll(async () => {
  store = await makeStore(4)
  folder = await mkdtemp(join(tmpdir(), 'weft-repair-'))
}, 30_000)

afterAll(async () => {
  await store.remove()
  await rm(folder, { recursive: true, force: true })
})

const weft = async (...args: string[]): Promise<{ code: number; told: unknown; out: string }> => {
  let out = ''
  const code = await run([...args, '--json'], {
    out: (text) => {
      out += text
    },
    error: (text) => {
      out += text
    },
  })
  return { code, told: out.startsWith('{') ? JSON.parse(out) : undefined, out }
}

/** Changes one byte within the first frame of that kind. */
const spoil = async (path: string, name: string, kind: number): Promise<void> => {
  const bytes = await readFile(join(path, name))
  const frame = scan(bytes).frames.find((one) => one.kind === kind)
  const at = (frame?.offset ?? 0) + 20
  bytes[at] = (bytes[at] ?? 0) ^ 1
  await writeFile(join(path, name), bytes)
}

describe('a snapshot that says something else than its log', () => {
  test('is told, and removed by --repair: the log says all of it', async () => {
    const made = await makeStore(60)
    try {
      const name = `${boardName}.snapshot`
      const path = join(made.server, name)
      expect(await weft('verify', made.server)).toMatchObject({ code: 0, told: { ok: true, problems: [] } })
      const snapshot = await readFile(path)
      const rest = snapshot.length - 8 - snapshot.readUInt32LE(snapshot.length - 8)
      const at = rest + 400
      snapshot[at] = (snapshot[at] ?? 0) ^ 1
      snapshot.writeUInt32LE(crc32c(snapshot.subarray(0, -4)), snapshot.length - 4)
      await writeFile(path, snapshot)
      const log = await readFile(join(made.server, boardName))
      const { code, told } = await weft('verify', made.server)
      expect([code, told]).toMatchObject([1, { ok: false, problems: [{ code: 'SnapshotWrong', file: name }] }])
      expect((told as AuditReport).problems[0]?.message).toContain('weft verify --repair')
      expect(await weft('verify', made.server, '--repair')).toMatchObject({
        code: 0,
        told: { ok: true, problems: [], repair: { repaired: [], removed: [name], aside: null } },
      })
      expect(await readdir(made.server)).not.toContain(name)
      expect((await readFile(join(made.server, boardName))).equals(log)).toBe(true)
    } finally {
      await made.remove()
    }
  }, 60_000)
})

describe('weft verify --repair', () => {
  test('takes what is missing from a backup, and keeps the log as it was', async () => {
    const backup = join(folder, 'backup')
    await weft('backup', store.server, backup)
    for (const kind of [frameKinds.header, frameKinds.certificate, frameKinds.entry, frameKinds.pack]) {
      const copy = await copyOf(store)
      try {
        await spoil(copy.path, boardName, kind)
        const damaged = await readFile(join(copy.path, boardName))
        expect((await weft('verify', copy.path)).code).toBe(1)
        const alone = await weft('verify', copy.path, '--repair')
        expect(alone.code, `${kind}`).toBe(kind === frameKinds.header ? 0 : 1)
        if (alone.code === 1) expect((await readFile(join(copy.path, boardName))).equals(damaged)).toBe(true)
        const { code, told } = await weft('verify', copy.path, '--repair', '--from', backup)
        expect([code, told], `${kind}`).toMatchObject([0, { ok: true, problems: [] }])
        const report = await auditFolder(copy.path, { network: store.network })
        expect(report.repositories.map(({ commits, covered }) => [commits, covered])).toEqual([
          [8, 8],
          [8, 8],
        ])
        if (kind === frameKinds.header) continue
        expect(told).toMatchObject({ repair: { repaired: [boardName] } })
        const { aside } = (told as { repair: { aside: string } }).repair
        expect((await readFile(join(aside, boardName))).equals(damaged)).toBe(true)
      } finally {
        await copy.remove()
      }
    }
  })

  test("takes it from a client's folder, and never a certificate as its own", async () => {
    const copy = await copyOf(store)
    try {
      await spoil(copy.path, boardName, frameKinds.pack)
      const known = await readFile(join(copy.path, rootName))
      await writeFile(join(copy.path, `${rootName}.seal`), encodeSeal({ size: known.length, checksum: crc32c(known) }))
      await spoil(copy.path, rootName, frameKinds.met)
      const { told } = await weft('verify', copy.path, '--repair', '--from', store.client)
      expect(told).toMatchObject({ repair: { repaired: expect.arrayContaining([boardName]) } })
      const report = await auditFolder(copy.path)
      expect(report.problems).toEqual([])
      expect(report.files.map(({ kind }) => kind)).not.toContain('seal')
      expect(report.repositories.map(({ commits }) => commits)).toEqual([8, 8])
      const kinds = scan(await readFile(join(copy.path, rootName))).frames.map(({ kind }) => kind)
      expect(kinds).not.toContain(frameKinds.certificate)
    } finally {
      await copy.remove()
    }
  })

  test('brings back a log that is gone, from a backup of the same store alone', async () => {
    const backup = join(folder, 'of the same')
    await weft('backup', store.server, backup)
    const copy = await copyOf(store)
    try {
      await rm(join(copy.path, boardName))
      await weft('verify', copy.path, '--repair', '--from', store.client)
      expect((await auditFolder(copy.path)).repositories).toHaveLength(1)
      await weft('verify', copy.path, '--repair', '--from', backup)
      expect((await auditFolder(copy.path)).repositories).toHaveLength(2)
    } finally {
      await copy.remove()
    }
  })

  test('leaves a clean store as it is, and one that is in use', async () => {
    const copy = await copyOf(store)
    try {
      const before = await filesOf(copy.path)
      const { code, told } = await weft('verify', copy.path, '--repair', '--from', store.client)
      expect([code, told]).toMatchObject([0, { repair: { repaired: [], before: [] } }])
      const after = await filesOf(copy.path)
      for (const [name, bytes] of before) if (!name.startsWith('=')) expect(after.get(name)).toEqual(bytes)
      const release = await nodeFiles(copy.path).lock()
      expect((await weft('verify', copy.path, '--repair')).told).toMatchObject({ ok: false, code: 'AlreadyOpen' })
      await release()
    } finally {
      await copy.remove()
    }
  })

  test('mends any byte by a backup', async () => {
    const seed = process.env.SEED ?? 'repair'
    const stream = new Stream(seed, 'bytes')
    const backup = join(folder, 'whole')
    await weft('backup', store.server, backup)
    const bytes = await readFile(join(store.server, boardName))
    const header = scan(bytes).frames[1]?.offset ?? 0
    for (let times = 0; times < 25; times++) {
      const copy = await copyOf(store)
      try {
        const at = header + stream.int(bytes.length - header)
        const changed = Uint8Array.from(bytes)
        changed[at] = (changed[at] ?? 0) ^ (1 + stream.int(255))
        await writeFile(join(copy.path, boardName), changed)
        const { code, out } = await weft('verify', copy.path, '--repair', '--from', backup)
        expect(code, `SEED=${seed}, byte ${at}: ${out}`).toBe(0)
        expect((await auditFolder(copy.path)).repositories.map(({ commits }) => commits)).toEqual([8, 8])
      } finally {
        await copy.remove()
      }
    }
  }, 60_000)
})

test('what could be read is not given up, though what it builds on is nowhere', async () => {
  const mint = await Mint.open({ isPacked: false })
  const [ada, bob] = [await mint.person('Ada'), await mint.person('Bob')]
  const [a0, b0] = [await mint.commit(ada, board), await mint.commit(bob, board)]
  mint.store(board, ada, a0, await mint.commit(ada, board, { after: a0 }))
  const own = Uint8Array.from(mint.files().get(boardName) ?? [])
  const lost = scan(own).frames.find(({ kind }) => kind === frameKinds.commit)
  const at = (lost?.offset ?? 0) + 20
  own[at] = (own[at] ?? 0) ^ 1
  mint.store(board, bob, b0)
  const theirs = Uint8Array.from(mint.files().get(boardName) ?? [])
  theirs[at] = own[at] ?? 0
  const mended = mendLog(boardName, own, [theirs], { runtime, network: mint.network }) ?? new Uint8Array(0)
  expect(scan(mended).damage).toEqual([])
  expect(lostSince(own, mended, runtime.hash)).toEqual([])
  expect(lostSince(mended, own, runtime.hash)).toHaveLength(2)
})

test('takes what is missing from the running server, and keeps what was not sent yet', async () => {
  const copy = await copyOf(store)
  const server = await serve({ schemas: [Card], data: copy.path, port: 0 })
  const client = join(folder, 'of Carl')
  const opened = (more: { transports?: [] } = {}): Database =>
    clientOf(server.url, { directory: client, keyFile: `${client}.key`, ...more })
  try {
    const replica = opened()
    await replica.login(anonymous('Carl'))
    for (const path of boards) {
      const repository = replica.repository(path)
      await repository.ready
      await level(repository, server.database.repository(path))
    }
    await replica.close()
    // What is written after an opening can be read without what was written before.
    const away = opened({ transports: [] })
    await away.opened
    await away.repository(board).ready
    await saved(away.repository(board).create(Card, { title: 'not sent yet' }), 'local')
    await away.close()
    const whole = await auditFolder(client)
    expect(whole.problems).toEqual([])
    const logs = await filesOf(client)
    for (const kind of [frameKinds.header, frameKinds.certificate, frameKinds.entry, frameKinds.pack]) {
      for (const [name, bytes] of logs) if (!name.startsWith('=')) await writeFile(join(client, name), bytes)
      await spoil(client, boardName, kind)
      const from = ['--from', server.url]
      const { code, told } = await weft('verify', client, '--repair', ...from, '--network', store.network)
      expect([code, told], `${kind}`).toMatchObject([0, { ok: true, repair: { repaired: [boardName] } }])
      const { repositories } = await auditFolder(client)
      expect(repositories.map(({ commits }) => commits)).toEqual(whole.repositories.map(({ commits }) => commits))
    }
    // Its root log as well: the network is named, and the session's key is beside it.
    await spoil(client, rootName, frameKinds.entry)
    const { code } = await weft('verify', client, '--repair', '--from', server.url, '--network', store.network)
    expect(code).toBe(0)
    expect((await readdir(folder)).filter((name) => name.includes('fetching'))).toEqual([])
    const again = opened()
    const repository = again.repository(board)
    await repository.ready
    await until(again, () => repository.unacknowledged === 0)
    await again.close()
    expect(
      server.database
        .repository(board)
        .query(Card)
        .current?.map(({ title }) => title),
    ).toContain('not sent yet')
    // A server's own folder is none of its business.
    await spoil(copy.path, boardName, frameKinds.pack)
    await server.close()
    const refused = await weft('verify', copy.path, '--repair', '--from', server.url)
    expect([refused.code, refused.out]).toEqual([2, expect.stringContaining("is a server's: start it")])
  } finally {
    await server.close()
    await copy.remove()
  }
}, 60_000)

/** Writes, and waits for the server to have it, until both hold the same commits. */
const level = async (one: Repository, other: Repository): Promise<void> => {
  for (let count = 0; count === 0 || one.pipeline.commits.size !== other.pipeline.commits.size; count++) {
    expect(count).toBeLessThan(50)
    await saved(one.create(Card, { title: `after ${count}` }), 'authority')
  }
}

test('a client whose log is damaged in the middle has it again from the server, its own commits too, and is then repaired', async () => {
  const copy = await copyOf(store)
  const client = join(folder, 'client')
  await cp(store.client, client, { recursive: true })
  await spoil(client, boardName, frameKinds.pack)
  const server = await serve({ schemas: [Card], data: copy.path, port: 0 })
  const codes: string[] = []
  const replica = clientOf(server.url, { directory: client })
  replica.onIncident(({ code }) => codes.push(code))
  try {
    await replica.login(anonymous('Ada'))
    const repository = replica.repository(board)
    await repository.ready
    await level(repository, server.database.repository(board))
    expect(codes).toContain('LogCorrupt')
  } finally {
    await replica.close()
    await server.close()
    await copy.remove()
  }
  expect((await auditFolder(client)).problems.map(({ code }) => code)).toContain('LogCorrupt')
  expect(await weft('verify', client, '--repair')).toMatchObject({ code: 0, told: { ok: true } })
}, 30_000)

test('a server whose log is damaged in the middle says so, has it again from a client, and is then repaired', async () => {
  const copy = await copyOf(store)
  const codes: string[] = []
  try {
    await spoil(copy.path, boardName, frameKinds.pack)
    const server = await serve({
      schemas: [Card],
      data: copy.path,
      port: 0,
      onIncident: ({ code }) => codes.push(code),
    })
    const replica = clientOf(server.url, { directory: store.client })
    try {
      await replica.login(anonymous('Ada'))
      const repository = replica.repository(board)
      await repository.ready
      await level(repository, server.database.repository(board))
      expect(codes).toContain('LogCorrupt')
    } finally {
      await replica.close()
      await server.close()
    }
    // What is damaged stays in the file until somebody repairs it, and by now it holds all that is needed.
    expect((await auditFolder(copy.path)).problems.map(({ code }) => code)).toContain('LogCorrupt')
    expect(await weft('verify', copy.path, '--repair')).toMatchObject({ code: 0, told: { ok: true } })
  } finally {
    await copy.remove()
  }
}, 30_000)
