/** The `weft` command on folders that the real server and a real client wrote. */
import { execFile } from 'node:child_process'
import { appendFile, readdir, readFile, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { run } from '@weft-db/cli'
import { type AuditReport, audit } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { nodeFiles } from '@weft-db/storage/node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fromHex } from '../../packages/engine/src/bytes/bytes.ts'
import { encodeEvidence } from '../../packages/engine/src/trust/evidence.ts'
import { flippedBytes } from '../attacks/rows/audit.ts'
import { Mint } from './mint.ts'
import { boards, copyOf, filesOf, makeStore, remembering, type Store, sourceOf } from './store.ts'

let store: Store
/** What was said about the folder while the server had it open. */
let whileRunning: { code: number; report: AuditReport }

beforeAll(async () => {
  store = await makeStore(3, async (server) => {
    const { code, out } = await weft('audit', server, '--json')
    whileRunning = { code, report: JSON.parse(out) }
  })
}, 30_000)

afterAll(() => store.remove())

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

const reportOn = async (path: string, ...options: string[]): Promise<{ code: number; report: AuditReport }> => {
  const { code, out } = await weft('audit', path, '--json', ...options)
  return { code, report: JSON.parse(out) }
}

describe('weft audit', () => {
  test('finds the folder of a server clean, and says who did what', async () => {
    const { code, report } = await reportOn(store.server, '--network', store.network, '--key', `${store.server}.key`)
    expect(report.problems).toEqual([])
    expect(code).toBe(0)
    expect(report.network).toBe(store.network)
    expect(report.repositories.map(({ path, commits, covered }) => [path, commits, covered]).sort()).toEqual(
      boards.map((path) => [path, 6, 6]),
    )
    expect(report.people.map(({ name, commits }) => [name, commits]).sort()).toEqual([
      ['Ada', 6],
      ['Bob', 6],
    ])
    const { out } = await weft('audit', store.server)
    for (const said of [store.network, ...boards, 'Ada', 'Bob', 'Clean.', "the authority's private key"])
      expect(out).toContain(said)
    expect(out).not.toContain('PRIVATE')
  })

  test('runs beside the server, and says so', () => {
    expect(whileRunning.report.problems).toEqual([])
    expect(whileRunning.code).toBe(0)
    expect(whileRunning.report.notes.join('\n')).toContain('has the folder open')
    expect(whileRunning.report.repositories).toHaveLength(2)
  })

  test("finds a client's folder clean", async () => {
    const { code, report } = await reportOn(store.client, '--network', store.network)
    expect(report.problems).toEqual([])
    expect(code).toBe(0)
    expect(report.repositories.map(({ commits }) => commits)).toEqual([6, 6])
  })

  test('writes nothing', async () => {
    const copy = await copyOf(store)
    try {
      const [name = ''] = (await readdir(copy.path)).filter((one) => one.endsWith('.log'))
      await truncate(join(copy.path, name), (await stat(join(copy.path, name))).size - 1)
      const old = new Date(1_000_000_000_000)
      for (const one of await readdir(copy.path)) await utimes(join(copy.path, one), old, old)
      const before = await filesOf(copy.path)
      expect((await weft('audit', copy.path)).code).toBe(1)
      expect(await filesOf(copy.path)).toEqual(before)
      for (const one of await readdir(copy.path)) expect((await stat(join(copy.path, one))).mtime).toEqual(old)
    } finally {
      await copy.remove()
    }
  })

  test('counts again by the rules of an app, and names what they refuse', async () => {
    const copy = await copyOf(store)
    const app = (rule: string): string => `
      import { read, write } from '${import.meta.resolve('@weft-db/engine')}'
      export { Card as ignored } from '${new URL('./lab.ts', import.meta.url).href}'
      import { Card } from '${new URL('./lab.ts', import.meta.url).href}'
      export const schemas = [Card]
      export const rules = [read('/:type/:name', () => true), write('/:type/:name', ${rule})]`
    try {
      const module = `${copy.path}.app.ts`
      await writeFile(module, app('() => true'))
      const allowed = await reportOn(copy.path, '--rules', module)
      expect(allowed.report.repositories.map(({ dead, waiting }) => [dead.length, waiting.length])).toEqual([
        [0, 0],
        [0, 0],
      ])
      const stricter = `${copy.path}.strict.ts`
      await writeFile(stricter, app("({ params }) => params.type === 'board'"))
      const { code, report } = await reportOn(copy.path, '--rules', stricter)
      const refused = report.repositories.map(({ path, dead }) => [path, dead.map((one) => one.code)]).sort()
      expect(refused).toEqual([
        ['/board/roadmap', []],
        ['/list/shopping', Array(6).fill('NotAllowed')],
      ])
      expect(report.people.map(({ dead }) => dead)).toEqual([3, 3])
      // What is dead is no damage.
      expect(code).toBe(0)
    } finally {
      await copy.remove()
    }
  })

  test('finds whatever was changed in a folder', async () => {
    const { report: since } = await reportOn(store.server)
    const changes: Record<string, (path: string, log: string, other: string) => Promise<unknown>> = {
      'a byte appended': (_, log) => appendFile(log, 'x'),
      'the last byte gone': async (_, log) => truncate(log, (await stat(log)).size - 1),
      'a log emptied': (_, log) => truncate(log, 0),
      'a log removed': (_, log) => rm(log),
      'two logs exchanged': async (path, log, other) => {
        await rename(log, join(path, 'aside'))
        await rename(other, log)
        await rename(join(path, 'aside'), other)
      },
      'a log appended to itself': async (_, log) => appendFile(log, await readFile(log)),
      'a file of another kind': (path) => writeFile(join(path, 'letter.txt'), 'x'),
    }
    for (const [what, change] of Object.entries(changes)) {
      const copy = await copyOf(store)
      try {
        const earlier = `${copy.path}.json`
        await writeFile(earlier, JSON.stringify(since))
        const [log = '', other = ''] = since.repositories.map(({ file }) => join(copy.path, file))
        await change(copy.path, log, other)
        const { code, out } = await weft('audit', copy.path, '--since', earlier)
        expect(code, `${what}\n${out}`).toBe(1)
        expect(out).toContain('Problems')
      } finally {
        await copy.remove()
      }
    }
  })

  test('says what is wrong, where, and what to do', async () => {
    const copy = await copyOf(store)
    try {
      const name = (await reportOn(copy.path)).report.repositories[0]?.file ?? ''
      const bytes = await readFile(join(copy.path, name))
      bytes[300] = (bytes[300] ?? 0) ^ 1
      await writeFile(join(copy.path, name), bytes)
      const { code, out } = await weft('audit', copy.path)
      expect(code).toBe(1)
      expect(out).toMatch(
        new RegExp(`${name}, byte \\d+: The log is damaged in the middle\\. \\(bytes \\d+ to \\d+\\)`),
      )
      expect(out).toContain('[LogCorrupt]')
    } finally {
      await copy.remove()
    }
  })

  test('refuses to be called wrongly', async () => {
    for (const args of [
      [],
      ['adit'],
      ['audit'],
      ['audit', `${store.server}.key`],
      ['audit', store.server, store.server],
      ['audit', store.server, '--nothing'],
      ['audit', store.server, '--network', 'x'],
      ['audit', store.server, '--key', 'x'],
      ['audit', store.server, '--since', `${store.server}.key`],
      ['audit', store.server, '--rules', 'no-such-module'],
      ['evidence'],
      ['evidence', join(store.server, 'none')],
    ]) {
      const { code, out, error } = await weft(...args)
      expect([code, out], args.join(' ')).toEqual([2, ''])
      expect(error).not.toBe('')
    }
    for (const args of [['--help'], ['audit', '--help'], ['evidence', '--help']])
      expect((await weft(...args)).code).toBe(0)
  })

  test('is a program', async () => {
    const top = fileURLToPath(new URL('../..', import.meta.url))
    const main = ['--import', 'tsx', '--conditions=weft-source', 'packages/cli/src/main.ts']
    const { stdout } = await promisify(execFile)(process.execPath, [...main, 'audit', store.server, '--json'], {
      cwd: top,
    })
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, network: store.network })
  }, 20_000)
})

describe('weft evidence', () => {
  test('says what a file proves, and that another proves nothing', async () => {
    const mint = await Mint.open()
    const person = await mint.person('Ada\u001b[2J')
    const [first, second] = [await mint.commit(person, '/board/x'), await mint.commit(person, '/board/x')]
    const fork = { kind: 'chain', first, second, certificate: person.certificate } as const
    const bytes = encodeEvidence(fork, mint.root, fromHex(mint.network))
    const copy = await copyOf(store)
    try {
      const file = join(copy.path, 'evidence')
      await writeFile(file, bytes)
      const { code, out } = await weft('evidence', file)
      expect(code).toBe(0)
      for (const said of [mint.network, first.id, second.id, '/board/x']) expect(out).toContain(said)
      expect(out).not.toContain('\u001b')
      expect(JSON.parse((await weft('evidence', file, '--json')).out)).toMatchObject({ ok: true, kind: 'chain' })
      await writeFile(file, bytes.subarray(1))
      const refused = await weft('evidence', file, '--json')
      expect([refused.code, JSON.parse(refused.out).ok]).toEqual([1, false])
    } finally {
      await copy.remove()
    }
  })
})

test('weft evidence says whose number was given twice', async () => {
  const mint = await Mint.open()
  const [first, second] = [await mint.person('Ada', mint.key, 7), await mint.person('Ada', mint.key, 7)]
  const fork = { kind: 'certificate', first: first.certificate, second: second.certificate } as const
  const copy = await copyOf(store)
  try {
    const file = join(copy.path, 'evidence')
    await writeFile(file, encodeEvidence(fork, mint.root, fromHex(mint.network)))
    const { code, out } = await weft('evidence', file)
    expect(code).toBe(0)
    const ids = [first, second].map(({ certificate }) => certificate.id).sort()
    for (const said of [mint.network, 'mail:Ada with one number: 7', ...ids]) expect(out).toContain(said)
    const told = JSON.parse((await weft('evidence', file, '--json')).out)
    expect(told).toMatchObject({ ok: true, kind: 'certificate', owner: 'mail:Ada', number: 7, ids })
  } finally {
    await copy.remove()
  }
})

describe('every byte counts', () => {
  test('a changed byte anywhere in a folder is reported', async () => {
    const seed = 'audit'
    const { trials, violations, missed } = await flippedBytes({ trials: 400, seed })
    expect([violations, missed], `seed ${seed}`).toEqual([0, undefined])
    expect(trials).toBe(400)
  }, 30_000)

  test('a changed byte of the last frame, of the header, of a mark and of a checksum', async () => {
    const files = await filesOf(store.server)
    const runtime = remembering(nodeRuntime())
    for (const [name, bytes] of files) {
      const places = [...Array(64).keys(), ...Array.from({ length: 64 }, (_, back) => bytes.length - 1 - back)]
      for (const at of places.filter((place) => place >= 0 && place < bytes.length)) {
        const changed = Uint8Array.from(bytes)
        changed[at] = (changed[at] ?? 0) ^ 0x10
        const report = await audit(sourceOf(new Map([...files, [name, changed]])), { runtime })
        expect(report.ok, `${name} ${at}`).toBe(false)
      }
    }
  }, 30_000)
})

test('the lock tells who has a folder open', async () => {
  const copy = await copyOf(store)
  try {
    const release = await nodeFiles(copy.path).lock()
    expect((await weft('audit', copy.path)).out).toContain('has the folder open')
    await release()
    expect((await weft('audit', copy.path)).out).not.toContain('has the folder open')
  } finally {
    await copy.remove()
  }
})
