import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  anonymous,
  type Code,
  Database,
  type Incident,
  type Login,
  limits,
  logName,
  type Repository,
  readCommit,
  saved,
} from '@weft-db/engine'
import { memoryKeys } from '@weft-db/runtime/node'
import { type Server, serve } from '@weft-db/server'
import { socketIoTransport } from '@weft-db/socketio/client'
import { memoryFiles } from '@weft-db/storage/memory'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { equalBytes, toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import { isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import { scan } from '../../packages/engine/src/log/frame.ts'
import { PackedLogReader } from '../../packages/engine/src/log/packedlog.ts'

import { fingerprintBytes } from '../../packages/engine/src/sync/fingerprint.ts'
import { Card, until } from './ring.ts'
import { runtime, Stranger, subscribing } from './stranger.ts'

const path = '/board/hostile'
const cardSchema = { name: Card.name, version: Card.version, hash: toHex(runtime.hash(Card.definition)) }
const unknownSchema = { name: 'invoice', version: 3, hash: toHex(randomBytes(32)) }

let folder: string
let server: Server
let ada: Database
let board: Repository
let strangers: Stranger[]
const incidents: Incident[] = []
const listeners = new Set<() => void>()

/** Logins as an app may have them: one whose store does not answer, one that has a bug. */
const slow: Login = { method: 'slow', check: () => new Promise(() => undefined) }
const faulty: Login = {
  method: 'faulty',
  check: async () => {
    throw new TypeError('a bug of the app')
  },
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-hostile-'))
  server = await serve({
    schemas: [Card],
    data: join(folder, 'store'),
    port: 0,
    login: [anonymous(), slow, faulty],
    // All of it comes from one address, which would be kept out after a few.
    rates: { offencesPerAddress: { burst: 1_000, perSecond: 1 } },
    connectionsPerAddress: 1_000,
    onIncident: (incident) => {
      incidents.push(incident)
      for (const listener of [...listeners]) listener()
    },
  })
  ada = await joined('Ada')
  board = ada.repository(path)
  await board.ready
  await saved(board.create(Card, { title: 'first' }), 'authority')
})

afterAll(async () => {
  await ada.close()
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

beforeEach(() => {
  strangers = []
  incidents.length = 0
})

afterEach(() => {
  for (const stranger of strangers) stranger.close()
})

/** Not a stranger: a client as apps have it. */
const joined = async (name: string): Promise<Database> => {
  const [files, keys] = [memoryFiles(), memoryKeys()]
  const client = new Database({
    schemas: [Card],
    runtime,
    storage: async () => ({ files, keys, mode: 'memory', lasting: true }),
    transports: [socketIoTransport({ url: `http://127.0.0.1:${server.port}` })],
    captureRate: 1000,
  })
  await client.login(anonymous(name))
  return client
}

const url = (): string => `http://127.0.0.1:${server.port}`
const met = async (stranger: Promise<Stranger>): Promise<Stranger> => {
  const one = await stranger
  strangers.push(one)
  return one
}

const incident = (code: Code): Promise<Incident> =>
  new Promise((resolve) => {
    const look = (): void => {
      const found = incidents.find((one) => one.code === code)
      if (found === undefined) return
      listeners.delete(look)
      resolve(found)
    }
    listeners.add(look)
    look()
  })

/** The repository's log on the disk. */
const stored = async (): Promise<{ bytes: Uint8Array; ids: string[]; sessions: string[] }> => {
  const bytes = await readFile(join(folder, 'store', logName(path, runtime)))
  const { frames, torn, damage } = scan(bytes)
  expect({ torn, damage }).toEqual({ torn: false, damage: [] })
  const ids: string[] = []
  const sessions: string[] = []
  const packs = new PackedLogReader(runtime.hash)
  for (const frame of frames) {
    const records = packs.records(frame)
    if (isRefusal(records)) throw new Error(`stored a pack that is ${records.code}`)
    for (const bytes of records) {
      const commit = readCommit(bytes, runtime.hash)
      if (isRefusal(commit)) throw new Error(`stored a commit that is ${commit.code}`)
      ids.push(commit.id)
      sessions.push(commit.session)
    }
  }
  return { bytes, ids, sessions }
}

/**
 * What the stranger does is refused with the code, where an operator and the stranger see it, and it leaves nothing: what Ada writes
 * afterwards follows in the log on what was there before, and nothing else does.
 */
const refusedWith = async (code: Code, stranger: Stranger, act: () => unknown): Promise<void> => {
  const before = await stored()
  await act()
  await incident(code)
  await stranger.hears('refused', (frame) => frame.code === code)
  await goOn(before)
}

const goOn = async (before: { bytes: Uint8Array; ids: string[] }): Promise<void> => {
  await saved(board.create(Card, { title: 'after' }), 'authority')
  const after = await stored()
  expect(equalBytes(after.bytes.subarray(0, before.bytes.length), before.bytes)).toBe(true)
  const added = after.sessions.slice(before.ids.length)
  expect(added.length).toBeGreaterThan(0)
  expect(new Set(added)).toEqual(new Set([ada.session?.id]))
}

/** `encode` writes only what is canonical: this is a frame whose number takes two bytes where one does. */
const notCanonical = (number: number): Uint8Array => new Uint8Array([0x82, 0x18, number, 0x05])

describe('[C1] [C6] bytes that are no frame', () => {
  const offers: Record<string, [Code, (stranger: Stranger) => void]> = {
    garbage: ['Malformed', (stranger) => stranger.raw(new Uint8Array([0xff, 0xfe, 0xfd, 0x00, 0x01]))],
    nothing: ['Malformed', (stranger) => stranger.raw(new Uint8Array(0))],
    'CBOR that is not canonical': ['NotCanonical', (stranger) => stranger.raw(notCanonical(2))],
    'a kind nobody knows': ['UnknownMessage', (stranger) => stranger.sendParts(99, 'x')],
    'a known kind with other fields': ['Malformed', (stranger) => stranger.sendParts(6, 'tag', 7)],
    'nesting without end': [
      'TooDeep',
      (stranger) => {
        // [2, 2, 'a', [[[...]]]], which `encode` would not write.
        stranger.raw(new Uint8Array([0x84, 2, 2, 0x61, 0x61, ...Array(limits.depth + 4).fill(0x81), 0x80]))
      },
    ],
  }
  for (const [what, [code, offer]] of Object.entries(offers)) {
    test(what, async () => {
      const stranger = await met(Stranger.proved(url()))
      await refusedWith(code, stranger, () => offer(stranger))
    })
  }

  test('[C1] a frame with another number closes the channel', async () => {
    const stranger = await met(Stranger.proved(url()))
    await refusedWith('Gap', stranger, () => stranger.raw(encode([7, 5])))
    await stranger.closed
  })

  for (const [what, size] of [
    ['a byte too large', limits.frameBytes + 1],
    ['twice too large', 2 * limits.frameBytes],
  ] as const) {
    test(`a frame ${what} is cut off before the engine`, async () => {
      const stranger = await met(Stranger.member(url(), path))
      const before = await stored()
      stranger.raw(new Uint8Array(size))
      await stranger.closed
      await incident('Malformed')
      await goOn(before)
    })
  }
})

test('[S13] naming a repository again and again is no way to be sent it again and again', async () => {
  const stranger = await met(Stranger.member(url(), path))
  const again = 40
  for (let times = 0; times < again; times++) {
    stranger.send({ kind: 'unsubscribe', tag: 0 })
    stranger.send(subscribing(0, path))
    stranger.sync([0, new Uint8Array(fingerprintBytes), true, null])
  }
  stranger.send(subscribing(1, '/board/other'))
  await expect(stranger.hears('sync', ({ tag }) => tag === 1)).rejects.toThrow('closed')
  const heard = stranger.heard.filter(({ kind }) => kind === 'sync').length
  // Nine times at once; then it is refused, and the third time is the last. What each is sent: hello, entries, commits.
  expect(heard).toBeLessThan(3 * 14)
  expect(stranger.refusals).toContain('TooMany')
})

describe('[C2] who has not proved a key', () => {
  test('may not log in', async () => {
    const stranger = await met(Stranger.connect(url()))
    await refusedWith('UnknownMessage', stranger, () => {
      stranger.greet()
      stranger.send({ kind: 'login', method: 'anonymous', credentials: 'Mallory' })
    })
  })

  test('may not ask for a repository', async () => {
    const stranger = await met(Stranger.connect(url()))
    await refusedWith('UnknownMessage', stranger, () => stranger.send(subscribing(0, path)))
  })

  test('is closed when the proof is another key’s', async () => {
    const stranger = await met(Stranger.connect(url()))
    await refusedWith('BadProof', stranger, async () => {
      stranger.greet()
      await stranger.prove({}, await runtime.generateKey())
    })
    await stranger.closed
  })

  test('is closed when the proof answers another challenge', async () => {
    const [victim, stranger] = [await met(Stranger.connect(url())), await met(Stranger.connect(url()))]
    await refusedWith('BadProof', stranger, async () => {
      const signature = await stranger.key.sign(new Uint8Array(32))
      stranger.greet()
      await stranger.prove({ signature })
    })
    await stranger.closed
    victim.greet()
    await victim.prove()
    await victim.hears('prove')
  })

  test('[C3] is closed when it belongs to another network', async () => {
    const stranger = await met(Stranger.connect(url()))
    await refusedWith('WrongNetwork', stranger, () => stranger.greet({ network: toHex(randomBytes(32)) }))
    await stranger.closed
  })

  test('is told of a certificate that is not this network’s', async () => {
    const stranger = await met(Stranger.connect(url()))
    await refusedWith('Malformed', stranger, async () => {
      stranger.greet()
      await stranger.prove({ certificate: encode([1, 2]) })
    })
  })
})

describe('who proved a key', () => {
  test('is refused a login that nobody accepts', async () => {
    const stranger = await met(Stranger.proved(url()))
    await refusedWith('LoginRefused', stranger, () =>
      stranger.send({ kind: 'login', method: 'password', credentials: ['mallory', 'guess'] }),
    )
  })

  test('[C4] [C7] is refused a repository before a login, as one that does not exist', async () => {
    const stranger = await met(Stranger.proved(url()))
    await refusedWith('UnknownRepository', stranger, () => stranger.send(subscribing(0, path)))
  })

  for (const bad of ['board/hostile', '/sys/root', '/../etc', '/board/a/b', '', `/${'x'.repeat(78)}😀`]) {
    test(`is refused the path ${JSON.stringify(bad.slice(0, 20))}`, async () => {
      const stranger = await met(Stranger.member(url(), path))
      await refusedWith('UnknownRepository', stranger, () => stranger.send(subscribing(1, bad)))
    })
  }

  test('[C7] is refused messages about a repository it never named', async () => {
    const stranger = await met(Stranger.member(url(), path))
    await refusedWith('UnknownRepository', stranger, () => stranger.send({ kind: 'sync', tag: 9, message: [8, 1] }))
  })

  test('is refused entries of a root log of its own making', async () => {
    const stranger = await met(Stranger.proved(url()))
    await refusedWith('Malformed', stranger, () => stranger.send({ kind: 'root', entries: [encode([1, 2])] }))
  })
})

describe('[A1] [A2] [A5] [A6] [A7] [A8] commits', () => {
  const offers: Record<string, [Code, (stranger: Stranger) => Promise<unknown>]> = {
    'of another network': [
      'WrongNetwork',
      async (stranger) =>
        stranger.push(await stranger.commit(path, cardSchema, { header: { network: toHex(randomBytes(32)) } })),
    ],
    'of another repository': [
      'WrongRepository',
      async (stranger) => stranger.push(await stranger.commit('/board/other', cardSchema)),
    ],
    'signed by another key': [
      'BadSignature',
      async (stranger) =>
        stranger.push(await stranger.commit(path, cardSchema, { signer: await runtime.generateKey() })),
    ],
    'in the name of another session': [
      'BadSignature',
      async (stranger) =>
        stranger.push(await stranger.commit(path, cardSchema, { header: { session: ada.session?.id ?? '' } })),
    ],
    'with a changed content': [
      'BadHash',
      async (stranger) => {
        const { bytes } = await stranger.commit(path, cardSchema, {
          draft: { operations: [{ kind: 'assign', field: 'title', value: 'abcdef' }] },
        })
        const changed = Uint8Array.from(bytes)
        changed.set(Buffer.from('ABCDEF'), Buffer.from(bytes).indexOf('abcdef'))
        stranger.push(changed)
      },
    ],
    'with bytes behind': [
      'Malformed',
      async (stranger) => {
        const { bytes } = await stranger.commit(path, cardSchema)
        stranger.push(Uint8Array.from([...bytes, 0]))
      },
    ],
    'too large': ['TooLarge', async (stranger) => stranger.push(new Uint8Array(limits.commitBytes + 60_000))],
    'whose chain skips a number': [
      'BrokenChain',
      async (stranger) => {
        const first = await stranger.commit(path, cardSchema)
        await admitted(stranger, first)
        stranger.push(await stranger.commit(path, cardSchema, { after: first, header: { seq: 2 } }))
      },
    ],
    'with a clock before the one it follows': [
      'ClockNotLater',
      async (stranger) => {
        const first = await stranger.commit(path, cardSchema)
        await admitted(stranger, first)
        stranger.push(await stranger.commit(path, cardSchema, { after: first, header: { clock: first.clock } }))
      },
    ],
    'with a parent of another item': [
      'BadParents',
      async (stranger) => {
        const first = await stranger.commit(path, cardSchema)
        await admitted(stranger, first)
        stranger.push(await stranger.commit(path, cardSchema, { after: first, draft: { parents: [first.id] } }))
      },
    ],
  }
  for (const [what, [code, offer]] of Object.entries(offers)) {
    test(`${what}: ${code}`, async () => {
      const stranger = await met(Stranger.member(url(), path))
      const allowed = new Set([ada.session?.id])
      const before = await stored()
      await offer(stranger)
      await incident(code)
      await stranger.hears('refused', (frame) => frame.code === code)
      await saved(board.create(Card, { title: 'after' }), 'authority')
      const after = await stored()
      expect(equalBytes(after.bytes.subarray(0, before.bytes.length), before.bytes)).toBe(true)
      const added = after.ids.slice(before.ids.length)
      const right = added.filter((_, index) => allowed.has(after.sessions[before.ids.length + index]))
      expect(added.length - right.length).toBe(rightOnes.get(stranger) ?? 0)
    })
  }

  /** How many right commits of a stranger the server took. */
  const rightOnes = new WeakMap<Stranger, number>()
  const admitted = async (
    stranger: Stranger,
    commit: { readonly bytes: Uint8Array; readonly id: string },
  ): Promise<void> => {
    stranger.push(commit.bytes)
    await until([ada], () => board.pipeline.commits.has(commit.id))
    rightOnes.set(stranger, (rightOnes.get(stranger) ?? 0) + 1)
  }

  test('[A4] of a session nobody certified: UnknownSession, told and not an offence', async () => {
    const stranger = await met(Stranger.member(url(), path))
    const before = await stored()
    const key = await runtime.generateKey()
    const session = toHex(runtime.hash(key.publicKey))
    stranger.push(await stranger.commit(path, cardSchema, { header: { session }, signer: key }))
    await incident('UnknownSession')
    await stranger.hears(
      'sync',
      ({ message }) => Array.isArray(message) && message[0] === 7 && message[1] === 'UnknownSession',
    )
    expect(stranger.refusals).toEqual([])
    await goOn(before)
  })

  test('[A3] [A7] before their parents wait, and are stored once when the parents are there', async () => {
    const stranger = await met(Stranger.member(url(), path))
    const before = await stored()
    const first = await stranger.commit(path, cardSchema)
    const key = first.changes[0]?.key ?? ''
    const second = await stranger.commit(path, cardSchema, { after: first, draft: { key, parents: [first.id] } })
    stranger.push(second)
    await goOn(before)
    stranger.push(first)
    stranger.push(second)
    await until([ada], () => board.pipeline.commits.has(second.id))
    const { ids } = await stored()
    expect(ids.filter((id) => id === first.id || id === second.id)).toEqual([first.id, second.id])
    expect(incidents).toEqual([])
  })

  test('[V1] [H1] of a schema the server does not know are stored, forwarded, covered, and count nowhere', async () => {
    const stranger = await met(Stranger.member(url(), path))
    const commit = await stranger.commit(path, unknownSchema)
    const shown = JSON.stringify(board.query(Card).current)
    stranger.push(commit)
    await until([ada], () => board.covers(commit.id))
    expect((await stored()).ids).toContain(commit.id)
    const held = board.pipeline.commits.get(commit.id)
    expect(held && equalBytes(held.bytes, commit.bytes)).toBe(true)
    expect(JSON.stringify(board.query(Card).current)).toBe(shown)
    expect(
      server.database.repository(path).counting.item(commit.changes[0]?.key ?? '', unknownSchema.hash),
    ).toBeUndefined()
    expect(incidents).toEqual([])
  })
})

test('[C6] a channel is closed with the last of the offences that are allowed, and the others go on', async () => {
  const [stranger, bystander] = [await met(Stranger.member(url(), path)), await met(Stranger.member(url(), path))]
  const before = await stored()
  for (let offence = 1; offence <= limits.offences; offence++) {
    expect(stranger.isClosed).toBe(false)
    stranger.sendParts(99)
    await stranger.hears('refused', () => stranger.refusals.length === offence)
  }
  await stranger.closed
  expect(stranger.refusals).toEqual(Array.from({ length: limits.offences }, () => 'UnknownMessage'))
  await goOn(before)
  const commit = await bystander.commit(path, cardSchema)
  bystander.push(commit)
  await until([ada], () => board.covers(commit.id))
})

test('a login that takes its time holds up nothing else, and is one at a time', async () => {
  const stranger = await met(Stranger.proved(url()))
  stranger.send({ kind: 'login', method: 'slow', credentials: null })
  await refusedWith('TooMany', stranger, () => stranger.send({ kind: 'login', method: 'slow', credentials: null }))
  await refusedWith('UnknownRepository', stranger, () => stranger.send(subscribing(0, path)))
})

test('a login of the app that throws is refused, and reported', async () => {
  const stranger = await met(Stranger.proved(url()))
  const fault = incident('Fault')
  await refusedWith('LoginRefused', stranger, () =>
    stranger.send({ kind: 'login', method: 'faulty', credentials: null }),
  )
  expect((await fault).about).toContain('faulty')
})
