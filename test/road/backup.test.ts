/** `weft backup` and `weft restore` on the folders of a real server and of a real client. */
import {
  appendFile,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { auditFolder, run } from '@weft-db/cli'
import { anonymous, type Database, erase, logName, read, saved, write } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { serve } from '@weft-db/server'
import { nodeFiles } from '@weft-db/storage/node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { frameKinds, scan } from '../../packages/engine/src/log/frame.ts'
import { rootPath } from '../../packages/engine/src/trust/entry.ts'
import { Stream } from '../sim/random.ts'
import { Card } from './lab.ts'
import { Mint } from './mint.ts'
import { boards, clientOf, filesOf, makeStore, type Store } from './store.ts'

const [board] = boards
const runtime = nodeRuntime()
const rootName = logName(rootPath, runtime)

let folder: string
let store: Store
/** A backup made while the server ran, and what was said of it. */
let made: { readonly path: string; readonly code: number; readonly report: BackupReport }

interface BackupReport {
  readonly ok: boolean
  readonly network: string
  readonly files: readonly { readonly name: string; readonly size: number; readonly written: number }[]
}

const weft = async (...args: string[]): Promise<{ code: number; out: string; error: string }> => {
  let [out, error] = ['', '']
  const code = await run(args, {
    out: (text) => {
      out += text
    },
    error: (text) => {
      error += text
    },
  })
  return { code, out, error }
}

let count = 0
const place = (): string => join(folder, `place ${++count}`)

/** A copy of a folder that may be spoiled. */
const copyOf = async (path: string): Promise<string> => {
  const copy = place()
  await mkdir(copy)
  for (const [name, bytes] of await filesOf(path)) await writeFile(join(copy, name), bytes)
  return copy
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-backup-'))
  store = await makeStore(3, async (server) => {
    const path = place()
    const { code, out } = await weft('backup', server, path, '--json')
    made = { path, code, report: JSON.parse(out) }
  })
}, 30_000)

afterAll(async () => {
  await store.remove()
  await rm(folder, { recursive: true, force: true })
})

const backedUp = async (from: string, to: string): Promise<BackupReport> => {
  const { code, out } = await weft('backup', from, to, '--json')
  expect(code, out).toBe(0)
  return JSON.parse(out)
}

describe('a backup', () => {
  test('of a running server is a store that is clean, and is all there was', async () => {
    expect(made.code).toBe(0)
    expect(made.report).toMatchObject({ ok: true, network: store.network })
    expect(made.report.files).toHaveLength(3)
    const verified = await weft('verify', made.path, '--json', '--network', store.network)
    expect(JSON.parse(verified.out)).toMatchObject({ ok: true, problems: [] })
    const target = place()
    const restored = await weft('restore', made.path, target, '--json', '--network', store.network)
    expect([restored.code, JSON.parse(restored.out)]).toMatchObject([0, { ok: true, restored: true }])
    const report = await auditFolder(target)
    expect(report.repositories.map(({ path, commits, covered }) => [path, commits, covered]).sort()).toEqual(
      boards.map((path) => [path, 6, 6]),
    )
    expect(report.notes.join('\n')).toContain('restored')
    expect(await readdir(folder)).not.toContainEqual(expect.stringContaining('restoring'))
  })

  test('copies nothing that it has, and holds no key, lock or tail', async () => {
    const target = place()
    await backedUp(store.server, target)
    expect((await backedUp(store.server, target)).files.map(({ written }) => written)).toEqual([0, 0, 0])
    const grown = await copyOf(store.server)
    const name = made.report.files.find((one) => one.name !== rootName)?.name ?? ''
    // A frame under way, and then all of it.
    const whole = await readFile(join(grown, name))
    await truncate(join(grown, name), whole.length - 1)
    const early = place()
    const first = await backedUp(grown, early)
    expect(first.files.find((one) => one.name === name)?.size).toBeLessThan(whole.length - 1)
    await writeFile(join(grown, name), whole)
    await writeFile(join(grown, `${name}.torn`), 'x')
    await writeFile(join(grown, 'letter.txt'), 'x')
    const second = await backedUp(grown, early)
    const written = second.files.filter((one) => one.written > 0)
    expect(written).toMatchObject([{ name, size: whole.length }])
    expect(written[0]?.written).toBeLessThan(whole.length)
    const names = (await readdir(early)).filter((one) => !one.startsWith('='))
    expect(names.sort()).toEqual([...made.report.files.map((one) => one.name), 'backup.json'].sort())
    expect((await weft('verify', early)).code).toBe(0)
  })

  test('takes the place of no other store, and goes on where a first one was cut short', async () => {
    const other = await copyOf(store.client)
    const before = await filesOf(other)
    const { code, out } = await weft('backup', store.server, other, '--json')
    expect([code, JSON.parse(out)]).toMatchObject([1, { ok: false, code: 'NotEmpty' }])
    expect(await filesOf(other)).toEqual(before)
    const cut = place()
    await backedUp(store.server, cut)
    await rename(join(cut, 'backup.json'), join(cut, 'backup.json.new'))
    await backedUp(store.server, cut)
    expect((await weft('verify', cut)).code).toBe(0)
  })

  test('writes nothing where the store is, and asks for no lock', async () => {
    const release = await nodeFiles(store.server).lock()
    const before = await filesOf(store.server)
    await backedUp(store.server, place())
    expect(await filesOf(store.server)).toEqual(before)
    await release()
  })

  test('gives up nothing that it holds for a store that is older, damaged or of another network', async () => {
    const target = place()
    await backedUp(store.server, target)
    const held = await filesOf(target)
    const name = made.report.files.find((one) => one.name !== rootName)?.name ?? ''
    const spoil: Record<string, readonly [string, (path: string) => Promise<unknown>]> = {
      'a log cut between two frames': [
        'BackupAhead',
        async (path) => {
          const { frames } = scan(await readFile(join(path, name)))
          const last = frames.findLast(({ kind }) => kind === frameKinds.entry)
          await truncate(join(path, name), last?.offset ?? 0)
        },
      ],
      'a log that is gone': ['BackupAhead', (path) => rm(join(path, name))],
      'a log with a hole': [
        'BackupAhead',
        async (path) => {
          const bytes = await readFile(join(path, name))
          bytes[300] = (bytes[300] ?? 0) ^ 1
          await writeFile(join(path, name), bytes)
        },
      ],
      'a root log that is gone': ['LogMissing', (path) => rm(join(path, rootName))],
      'somebody who logs out': ['LoggingOut', (path) => writeFile(join(path, 'logout'), 'x')],
      'another network': [
        'WrongNetwork',
        async (path) => {
          for (const [one, bytes] of (await Mint.open()).files()) await writeFile(join(path, one), bytes)
        },
      ],
    }
    for (const [what, [code, change]] of Object.entries(spoil)) {
      const copy = await copyOf(store.server)
      await change(copy)
      const { code: exit, out } = await weft('backup', copy, target, '--json')
      expect([exit, JSON.parse(out)], what).toMatchObject([1, { ok: false, code }])
      const after = await filesOf(target)
      for (const [one, bytes] of held)
        if (!one.startsWith('=')) expect(after.get(one), `${what}: ${one}`).toEqual(bytes)
    }
  })

  test('mends what rotted in it', async () => {
    const target = place()
    await backedUp(store.server, target)
    const name = made.report.files[0]?.name ?? ''
    const bytes = await readFile(join(target, name))
    bytes[100] = (bytes[100] ?? 0) ^ 1
    await writeFile(join(target, name), bytes)
    expect((await weft('verify', target)).code).toBe(1)
    await backedUp(store.server, target)
    expect((await weft('verify', target)).code).toBe(0)
    expect((await weft('restore', target, place())).code).toBe(0)
  })

  test('of a store with a hole has what is left of it, and says so', async () => {
    const copy = await copyOf(store.server)
    const name = made.report.files.find((one) => one.name !== rootName)?.name ?? ''
    const bytes = await readFile(join(copy, name))
    bytes[300] = (bytes[300] ?? 0) ^ 1
    await writeFile(join(copy, name), bytes)
    const target = place()
    const { code, out } = await weft('backup', copy, target, '--json')
    expect([code, JSON.parse(out).problems]).toMatchObject([1, [{ code: 'LogCorrupt', file: name }]])
    const refused = place()
    expect((await weft('restore', target, refused)).code).toBe(1)
    await expect(stat(refused)).rejects.toThrow('ENOENT')
    const restored = place()
    expect((await weft('restore', target, restored, '--damaged')).code).toBe(1)
    expect(await readFile(join(restored, name))).toEqual(bytes)
  })
})

describe('a restore', () => {
  test('refuses a backup with any byte changed, cut or gone, and leaves nothing', async () => {
    const seed = process.env.SEED ?? 'flips'
    const stream = new Stream(seed, 'restore')
    const files = [...(await filesOf(made.path))].filter(([name]) => !name.startsWith('='))
    const trial = async (what: string, change: (path: string) => Promise<unknown>): Promise<void> => {
      const copy = await copyOf(made.path)
      await change(copy)
      const target = place()
      const { code, out } = await weft('restore', copy, target, '--json')
      expect([code, JSON.parse(out).ok], `SEED=${seed}: ${what}`).toEqual([1, false])
      await expect(stat(target), what).rejects.toThrow('ENOENT')
      await rm(copy, { recursive: true })
    }
    for (const [name, bytes] of files) {
      const isManifest = name === 'backup.json'
      for (let times = 0; times < (isManifest ? 60 : 12); times++) {
        const [at, mask] = [stream.int(bytes.length), 1 + stream.int(255)]
        const changed = Uint8Array.from(bytes)
        changed[at] = (changed[at] ?? 0) ^ mask
        await trial(`${name} ${at} ^ ${mask}`, (path) => writeFile(join(path, name), changed))
      }
      await trial(`${name} cut`, (path) => truncate(join(path, name), stream.int(bytes.length)))
      await trial(`${name} gone`, (path) => rm(join(path, name)))
      if (isManifest) await trial('a manifest with more', (path) => appendFile(join(path, name), '\n'))
    }
    expect((await readdir(folder)).filter((name) => name.includes('restoring'))).toEqual([])
  }, 60_000)

  test('of a damaged backup brings what there is, and names what is not what was written', async () => {
    const copy = await copyOf(made.path)
    const name = made.report.files[0]?.name ?? ''
    const bytes = await readFile(join(copy, name))
    bytes[300] = (bytes[300] ?? 0) ^ 1
    await writeFile(join(copy, name), bytes)
    const target = place()
    const { code, out } = await weft('restore', copy, target, '--damaged', '--json')
    expect([code, JSON.parse(out)]).toMatchObject([1, { ok: false, restored: true }])
    const codes = JSON.parse(out).problems.map((one: { code: string; file: string }) => [one.code, one.file])
    expect(codes).toContainEqual(['BackupCorrupt', name])
    expect((await readFile(join(target, name))).equals(bytes)).toBe(true)
  })

  test('takes no folder that holds something or is in use', async () => {
    const used = place()
    await mkdir(used)
    await writeFile(join(used, 'x'), 'x')
    expect(JSON.parse((await weft('restore', made.path, used, '--json')).out)).toMatchObject({ code: 'NotEmpty' })
    const locked = place()
    const release = await nodeFiles(locked).lock()
    expect(JSON.parse((await weft('restore', made.path, locked, '--json')).out)).toMatchObject({ code: 'AlreadyOpen' })
    await release()
    const empty = place()
    await mkdir(empty)
    expect((await weft('restore', made.path, empty)).code).toBe(0)
    expect(JSON.parse((await weft('restore', empty, place(), '--json')).out)).toMatchObject({ code: 'NoBackup' })
  })

  test('refuses to be called wrongly', async () => {
    for (const args of [
      ['backup'],
      ['backup', store.server],
      ['backup', store.server, store.server],
      ['backup', store.server, join(store.server, 'within')],
      ['backup', store.server, place(), '--nothing'],
      ['backup', place(), place()],
      ['restore'],
      ['restore', made.path],
      ['restore', place(), place()],
      ['restore', made.path, place(), '--network', 'x'],
      ['verify', store.server, '--from', made.path],
      ['verify', made.path, '--repair'],
    ]) {
      const { code, out, error } = await weft(...args)
      expect([code, out], args.join(' ')).toEqual([2, ''])
      expect(error).not.toBe('')
    }
    for (const name of ['backup', 'restore', 'verify']) expect((await weft(name, '--help')).code).toBe(0)
  })
})

test('[R9] a restored server goes on with its key beside it, by the word of whoever runs it where its landmarks are gone', async () => {
  const data = place()
  expect((await weft('restore', made.path, data)).code).toBe(0)
  await copyFile(`${store.server}.key`, `${data}.key`)
  const server = await serve({ schemas: [Card], data, port: 0 })
  const incidents: string[] = []
  server.database.onIncident(({ code }) => incidents.push(code))
  const replica = clientOf(server.url, { network: store.network })
  try {
    await replica.login(anonymous('Eve'))
    const repository = replica.repository(board)
    await repository.ready
    await saved(repository.create(Card, { title: 'after' }), 'local')
    expect(server.database.recovering).toContainEqual(expect.objectContaining({ repository: '/sys', want: null }))
    await server.database.acceptLoss()
    await server.database.acceptLoss(board)
    await saved(repository.create(Card, { title: 'later' }), 'authority')
    expect(repository.pipeline.commits.size).toBe(8)
    expect(incidents).toContain('EpochLost')
    expect(incidents).not.toContain('LogForked')
  } finally {
    await replica.close()
    await server.close()
  }
  expect((await auditFolder(data)).problems).toEqual([])
}, 30_000)

test('a backup that is made while logs are written anew is whole', async () => {
  const data = place()
  const server = await serve({
    schemas: [Card],
    data,
    port: 0,
    rules: [read('/:type/:name', () => true), write('/:type/:name', () => true), erase('/:type/:name', () => true)],
  })
  const replica = clientOf(server.url, { captureRate: 1_000 })
  try {
    await replica.login(anonymous('Ada'))
    const repository = replica.repository(board)
    await repository.ready
    const target = place()
    let isOver = false
    const erasing = (async () => {
      for (let count = 0; count < 12; count++) {
        const card = repository.create(Card, { title: `secret ${count}` }, { key: `card ${count}` })
        await saved(card, 'authority')
        await repository.erase(card, 'asked for')
      }
      isOver = true
    })()
    let backups = 0
    for (; !isOver; backups++) {
      await backedUp(data, target)
      // An erasure may be under way: then the server goes on with it when it opens what was restored.
      const restored = place()
      const { code, out } = await weft('restore', target, restored)
      expect(code, out).toBe(0)
      await rm(restored, { recursive: true })
    }
    await erasing
    expect(backups).toBeGreaterThan(2)
    await backedUp(data, target)
    expect((await auditFolder(target)).problems).toEqual([])
    for (const [name, bytes] of await filesOf(target)) expect(Buffer.from(bytes).includes('secret'), name).toBe(false)
  } finally {
    await replica.close()
    await server.close()
  }
}, 30_000)

test('a restored client goes on in a chain of its own, whatever it wrote after the backup', async () => {
  const data = place()
  const server = await serve({ schemas: [Card], data, port: 0 })
  const incidents: string[] = []
  server.database.onIncident(({ code }) => incidents.push(code))
  const open = async (directory: string): Promise<Database> => {
    const replica = clientOf(server.url, { directory, keyFile: `${key}.key`, captureRate: 1_000 })
    replica.onIncident(({ code }) => incidents.push(code))
    await replica.opened
    return replica
  }
  const key = place()
  const write = async (replica: Database, ...titles: string[]): Promise<void> => {
    const repository = replica.repository(board)
    await repository.ready
    for (const title of titles) {
      const card = repository.create(Card, { title })
      repository.flush()
      await saved(card, 'authority')
    }
  }
  const [first, backupOf, second] = [place(), place(), place()]
  let replica = await open(first)
  try {
    await replica.login(anonymous('Ada'))
    await write(replica, 'a', 'b')
    await backedUp(first, backupOf)
    await write(replica, 'c', 'd')
    const session = replica.session?.id
    await replica.close()
    expect((await weft('restore', backupOf, second)).code).toBe(0)
    replica = await open(second)
    expect(replica.session?.id).toBe(session)
    await write(replica, 'e', 'f')
    const titles = (of: Database): string[] =>
      (of.repository(board).query(Card).current ?? []).map(({ title }) => title).sort()
    expect(titles(server.database)).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
    expect(titles(replica)).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
    const chains = new Set<string>()
    const { commits } = server.database.repository(board).pipeline
    for (let index = 0; index < commits.size; index++) chains.add(commits.at(index)?.chain ?? '')
    expect(chains.size).toBe(2)
    expect(incidents.filter((code) => code === 'ChainForked' || code === 'EvidenceKept')).toEqual([])
  } finally {
    await replica.close()
    await server.close()
  }
}, 30_000)
