/**
 * A client that shares no line with Weft and goes by docs/protocol.md and docs/wire-format.md meets the real server and real replicas over
 * loopback. What it cannot do, those two files do not say well enough.
 */
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  anonymous,
  boolean,
  type Database,
  keyOf,
  number,
  type Repository,
  saved,
  schema,
  string,
} from '@weft-db/engine'
import { type Server, serve } from '@weft-db/server'
import { open } from '@weft-db/weft/node'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { decode, encode, hex, sha256 } from './bytes.mjs'
import { Client, type Commit, type Edit } from './client.mjs'

const Card = schema('card', 1, {
  about: string(),
  title: string({ max: 500 }),
  done: boolean(),
  points: number({ integer: true }),
})
const definition = [
  'card',
  1,
  [
    ['about', ['string', {}]],
    ['done', ['boolean', {}]],
    ['points', ['number', { integer: true }]],
    ['title', ['string', { max: 500 }]],
  ],
]
const named = ['card', 1, sha256(encode(definition))] as const
const path = '/board/roadmap'

let folder: string
let server: Server
let closing: (() => unknown)[]

const started = (port = 0): Promise<Server> =>
  serve({ schemas: [Card], data: join(folder, 'server'), port, log: () => undefined })

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-second-'))
  server = await started()
  closing = []
})

afterEach(async () => {
  for (const close of closing.reverse()) await close()
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

const client = (name: string, url = server.url): Client => {
  const made = new Client(url, path, name)
  closing.push(() => made.socket.disconnect())
  return made
}

/** Connected, and level. */
const joined = async (name: string, url = server.url): Promise<Client> => meet(client(name, url))

const meet = async (one: Client): Promise<Client> => {
  const level = once(one, 'level')
  one.socket.connect()
  await level
  return one
}

const replica = async (name: string): Promise<Repository> => {
  const database: Database = open({
    url: server.url,
    schemas: [Card],
    directory: join(folder, name),
    captureRate: 1_000_000,
  })
  closing.push(() => database.close())
  await database.login(anonymous(name))
  const repository = database.repository(path)
  await repository.ready
  return repository
}

const titled = (item: string, title: string): Edit => ({
  item,
  schema: named,
  operations: [['title', 0]],
  values: [title],
})

/** Titles by item: the assignment with the latest stamp. */
const titlesOf = (one: Client): Map<string, unknown> => {
  const order = (a: Commit, b: Commit): number => a.clock - b.clock || (a.id < b.id ? -1 : 1)
  const titles = new Map<string, unknown>()
  for (const { edits } of [...one.commits.values()].sort(order)) {
    for (const { item, operations, values = [] } of edits) {
      let next = 0
      for (const [field, kind] of operations) {
        const writes = kind === 0 || kind === 1 || kind === 3
        if (field === 'title' && kind === 0) titles.set(item, values[next])
        if (writes) next++
      }
    }
  }
  return titles
}

const titlesIn = (repository: Repository): Map<string, unknown> =>
  new Map(repository.query(Card).current?.map((card) => [keyOf(card), card.title]))

/** Resolves when it holds, asked after every change. */
const holds = (repository: Repository, condition: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    if (condition()) return resolve()
    const stop = repository.onChange(() => {
      if (!condition()) return
      stop()
      resolve()
    })
  })

const came = async (one: Client, condition: () => boolean): Promise<void> => {
  while (!condition()) await once(one, 'commit')
}

/** Kinds of the messages that both sides say about commits, in order, and how many heads and commits go each way. */
const overheard = (one: Client) => {
  const heard = { kinds: [] as string[], named: 0, listed: 0, sent: 0, received: 0 }
  const note = (mark: string, frame: Uint8Array): { heads: number; commits: number } => {
    const [, kind, , message] = decode(Buffer.from(frame))
    if (kind !== 7 || !Array.isArray(message)) return { heads: 0, commits: 0 }
    if (message[0] !== 1) heard.kinds.push(`${mark}${message[0]}`)
    return {
      heads: message[0] === 3 ? message[3].length / 3 : 0,
      commits: message[0] === 5 ? message[4].length : 0,
    }
  }
  one.socket.onAny((_, frame) => {
    const { heads, commits } = note('<', frame)
    heard.listed += heads
    heard.received += commits
  })
  one.socket.onAnyOutgoing((_, frame) => {
    const { heads, commits } = note('>', frame)
    heard.named += heads
    heard.sent += commits
  })
  return heard
}

/** Goes on in a new chain of the same session, as after a start with an empty disk. */
const newChain = (one: Client, byte: number): void => {
  one.own.incarnation = Buffer.alloc(8, byte)
  one.own.last = undefined
}

/** To the server, with the bytes that come from it changed on the way. */
const relay = async (change: (bytes: Buffer) => Buffer): Promise<string> => {
  const listening = createServer((near) => {
    const far = connect(server.port, '127.0.0.1')
    near.on('data', (bytes) => far.write(bytes)).on('close', () => far.destroy())
    far.on('data', (bytes) => near.write(change(bytes))).on('close', () => near.destroy())
    for (const socket of [near, far]) socket.on('error', () => socket.destroy())
  })
  listening.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  closing.push(() => listening.close())
  return `http://127.0.0.1:${(listening.address() as AddressInfo).port}`
}

const withSignature = (record: Uint8Array, signature: Uint8Array): Buffer => {
  const [header, , changes] = decode(record)
  return encode([header, signature, changes])
}

test('it is at most 300 lines of code, and nothing of Weft', async () => {
  let lines = 0
  for (const name of ['client.mjs', 'bytes.mjs']) {
    const text = await readFile(new URL(name, import.meta.url), 'utf8')
    for (const [, from] of text.matchAll(/from '([^']*)'/g))
      expect(from).toMatch(/^(node:.*|socket\.io-client|cbor-x|\.\/bytes\.mjs)$/)
    lines += text.split('\n').filter((line) => line.trim() !== '' && !/^\s*(\/\/|\/\*|\*)/.test(line)).length
  }
  expect(lines).toBeLessThanOrEqual(300)
})

test('[S3] [C2] [C4] [C7] an empty client is sent everything, and an empty server takes everything', async () => {
  const ada = await replica('ada')
  const cards = ['one', 'two', 'three'].map((title) => {
    const card = ada.create(Card, { title }, { key: title })
    ada.flush()
    return card
  })
  await Promise.all(cards.map((card) => saved(card, 'authority')))
  const other = client('second')
  const heard = overheard(other)
  await meet(other)
  expect([...titlesOf(other)].sort()).toEqual([...titlesIn(ada)].sort())
  expect(other.commits.size).toBe(3)
  expect(heard).toMatchObject({ sent: 0, received: 3 })

  // The server loses everything it had; whoever comes back brings it.
  const { port } = server
  await server.close()
  await rm(join(folder, 'server'), { recursive: true })
  await rm(join(folder, 'server.key'))
  await rm(join(folder, 'server.landmarks'), { recursive: true })
  server = await started(port)
  const fresh = await joined('third')
  fresh.socket.disconnect()
  for (let i = 0; i < 5; i++) fresh.commit([titled(`item ${i}`, `title ${i}`)])
  const bringing = overheard(fresh)
  await meet(fresh)
  expect(bringing).toMatchObject({ sent: 5, received: 0 })
  const bob = await replica('bob')
  await holds(bob, () => titlesIn(bob).size === 5)
  expect([...titlesIn(bob)].sort()).toEqual([...titlesOf(fresh)].sort())
})

test('[S4] [S5] [S6] hundreds of commits in several chains on each side are found by filters, and nothing is sent twice', async () => {
  const people = await Promise.all(['ada', 'bob', 'cyd'].map(replica))
  const one = await joined('second')
  for (const [i, person] of people.entries()) person.create(Card, { title: 'begun' }, { key: `of ${i}` })
  one.commit([titled('begun here', 'begun')])
  // Chains that nothing happens to: the filters are to tell that.
  for (let i = 0; i < 8; i++) (await joined(`still ${i}`)).commit([titled(`still ${i}`, 'done')])
  await came(one, () => one.commits.size === 12)
  one.socket.disconnect()

  const last = people.map((person, i) => {
    const card = person.item(Card, `of ${i}`)
    if (!card) throw new Error('no card')
    for (let edit = 0; edit < 80; edit++)
      person.transact(() => {
        card.title = `${edit} by ${i}`
      })
    return card
  })
  await Promise.all(last.map((card) => saved(card, 'authority')))
  for (let chain = 0; chain < 4; chain++) {
    if (chain > 0) newChain(one, chain)
    for (let edit = 0; edit < 60; edit++) one.commit([titled(`${edit % 7} in ${chain}`, `${edit}`)])
  }
  const heard = overheard(one)
  await meet(one)
  expect(heard).toMatchObject({ sent: 240, received: 240 })
  // Seven tips and four, and what falls to a second round by false hits; with the chains that are equal it would be 15 and 12.
  expect(heard.named).toBeLessThan(12)
  expect(heard.listed).toBeLessThan(9)
  expect(heard.kinds.slice(0, 6)).toEqual(['<0', '>0', '>2', '<2', '<3', '>3'])
  expect(one.commits.size).toBe(492)
  for (const person of people) {
    await holds(person, () => titlesIn(person).size === 40 && titlesIn(person).get('3 in 3') === '59')
    expect([...titlesIn(person)].sort()).toEqual([...titlesOf(one)].sort())
  }
})

test('[S8] whatever either makes reaches the other at once', async () => {
  const ada = await replica('ada')
  const one = await joined('second')
  const heard = overheard(one)
  const card = ada.create(Card, { title: 'from Ada' }, { key: 'card' })
  await came(one, () => titlesOf(one).get('card') === 'from Ada')
  one.commit([titled('card', 'from the other')])
  await holds(ada, () => card.title === 'from the other')
  card.title = 'Ada again'
  await came(one, () => titlesOf(one).get('card') === 'Ada again')
  expect(heard.kinds).toEqual(['<5', '>5', '<5'])
})

test('[A7] what was pushed before that on which it builds is found to be missing', async () => {
  const ada = await replica('ada')
  const one = await joined('second')
  one.commit([titled('card', 'begun')])
  await holds(ada, () => titlesIn(ada).get('card') === 'begun')
  Object.assign(one, { isLevel: false })
  one.commit([titled('other card', 'not pushed')])
  Object.assign(one, { isLevel: true })
  const level = once(one, 'level')
  one.commit([titled('card', 'pushed')])
  await level
  await holds(ada, () => titlesIn(ada).get('other card') === 'not pushed' && titlesIn(ada).get('card') === 'pushed')
})

test('a server that goes away and comes back finds what both sides made meanwhile', async () => {
  const ada = await replica('ada')
  const one = await joined('second')
  const card = ada.create(Card, { title: 'before' }, { key: 'card' })
  await came(one, () => one.commits.size === 1)
  const { port } = server
  const gone = new Promise((resolve) => one.socket.once('disconnect', resolve))
  await server.close()
  await gone
  for (let i = 0; i < 3; i++) one.commit([titled('while away', `${i}`)])
  for (let i = 0; i < 3; i++)
    ada.transact(() => {
      card.title = `${i}`
    })
  const back = once(one, 'level')
  // A server that stops dismisses its clients: they do not dial again by themselves.
  one.socket.connect()
  server = await started(port)
  await back
  await came(one, () => titlesOf(one).get('card') === '2')
  await holds(ada, () => titlesIn(ada).get('while away') === '2')
  expect(one.commits.size).toBe(7)
})

test('[S5] both branches of a forked chain reach whoever holds one of them', async () => {
  const one = await joined('second')
  // The same session again, as from a copy of its disk.
  const copy = client('copy')
  Object.assign(copy, { key: one.key, own: { ...one.own } })
  await meet(copy)
  copy.own.last = one.commit([titled('card', 'shared')])
  await came(copy, () => copy.commits.size === 1)
  for (const each of [one, copy]) each.socket.disconnect()
  copy.commit([titled('card', 'here')])
  one.commit([titled('card', 'there')])
  await meet(copy)
  await meet(one)
  expect([one.commits.size, one.tips.size]).toEqual([3, 2])
  const other = await joined('third')
  expect([...other.tips.keys()].sort()).toEqual([...one.tips.keys()].sort())
  await came(copy, () => copy.tips.size === 2)
})

test('[C1] a frame that is missing ends the channel', async () => {
  // Of a live push what stands behind the frame's number: sync, tag, push, round, not the last, none unknown.
  const push = Buffer.from([7, 0, 0x86, 5, 0, 0xf4, 0x80])
  const url = await relay((bytes) => {
    const at = bytes.indexOf(push) - 1
    if (at >= 0) bytes.writeUInt8(bytes.readUInt8(at) + 1, at)
    return bytes
  })
  const one = await joined('second', url)
  const author = await joined('third')
  const left = once(one, 'refused')
  author.commit([titled('card', 'one')])
  expect((await left)[0]).toBe('Gap')
  expect(one.commits.size).toBe(0)
})

test('[C2] [C3] a server that cannot prove to be the authority of the network is left', async () => {
  const honest = await joined('second')
  const [[, { point = Buffer.of() } = {}] = []] = honest.authorities
  const url = await relay((bytes) => {
    // Behind the key stand null for the certificate, and the signature.
    const at = bytes.indexOf(point)
    if (at >= 0) bytes.writeUInt8(bytes.readUInt8(at + 90) ^ 1, at + 90)
    return bytes
  })
  const deceived = client('third', url)
  const left = once(deceived, 'refused')
  deceived.socket.connect()
  expect((await left)[0]).toBe('BadSignature')

  // It holds a key, but not one that the network's log names.
  honest.socket.disconnect()
  Object.assign(honest, { authorities: new Map() })
  const parted = once(honest, 'refused')
  honest.socket.connect()
  expect((await parted)[0]).toBe('BadSignature')

  const foreign = client('fifth')
  Object.assign(foreign, { network: Buffer.alloc(32, 1) })
  const refused = once(foreign, 'refused')
  foreign.socket.connect()
  expect((await refused)[0]).toBe('WrongNetwork')
})

test('[A5] the server refuses a bad signature', async () => {
  const ada = await replica('ada')
  const one = await joined('second')
  const good = one.compose([titled('card', 'forged')])
  const [header] = decode(good)
  const signature = Buffer.from(decode(good)[1] as Uint8Array)
  signature[40] = (signature[40] ?? 0) ^ 1
  const refused = once(one, 'refused')
  one.own.last = undefined
  Object.assign(one, { compose: () => withSignature(good, signature) })
  one.commit([])
  const [code, ids] = await refused
  expect(code).toBe('BadSignature')
  expect(ids.map(hex)).toEqual([hex(sha256(header as Uint8Array))])
  expect(titlesIn(ada).has('card')).toBe(false)
})

test('[S6] after two rounds that moved nothing there are no filters, and names are whole', async () => {
  const one = await joined('second')
  one.commit([titled('card', 'held by both')])
  const other = client('third')
  await meet(other)
  await came(other, () => other.commits.size === 1)
  other.socket.disconnect()
  // What the server will never take, so that the two stay different.
  const bad = withSignature(other.compose([titled('card', 'forged')]), Buffer.alloc(64, 1))
  Object.assign(other, { compose: () => bad })
  other.commit([])
  const heads = new Promise<unknown[]>((resolve) => {
    let isExact = false
    other.socket.onAnyOutgoing((_, frame) => {
      const [, kind, , message] = decode(Buffer.from(frame))
      if (kind !== 7 || !Array.isArray(message)) return
      isExact ||= message[0] === 2 && message[1] === 3 && message[5].length === 0
      if (isExact && message[0] === 3) resolve(message[3])
    })
  })
  other.socket.connect()
  const lengths = (await heads).map((part) => (part instanceof Uint8Array ? part.length : 'seq'))
  expect(lengths).toEqual([40, 'seq', 32, 40, 'seq', 32])
})

test('[S5] what is too large for one message comes in several', async () => {
  const one = await joined('second')
  const other = await joined('third')
  for (const each of [one, other]) each.socket.disconnect()
  const about = 'x'.repeat(60_000)
  for (let i = 0; i < 20; i++)
    one.commit([{ item: `card ${i}`, schema: named, operations: [['about', 0]], values: [about] }])
  const heard = [one, other].map(overheard)
  await meet(one)
  await meet(other)
  await came(other, () => other.commits.size === 20)
  expect(heard).toMatchObject([
    { sent: 20, received: 0 },
    { sent: 0, received: 20 },
  ])
  for (const { kinds } of heard) expect(kinds.filter((kind) => kind.endsWith('5')).length).toBeGreaterThan(1)
  expect([...other.commits.keys()]).toEqual([...one.commits.keys()])
})

test('[A2] [A5] a commit that was changed on the way is not let in', async () => {
  const author = await joined('author')
  let [wanted, instead] = ['pay Ada 100', 'pay Bob 100'].map((text) => Buffer.from(text)) as [Buffer, Buffer]
  const url = await relay((bytes) => {
    const at = bytes.indexOf(wanted)
    if (at >= 0) instead.copy(bytes, at)
    return bytes
  })
  const one = await joined('second', url)
  const content = once(one, 'refused')
  author.commit([titled('card', 'pay Ada 100')])
  expect((await content)[0]).toBe('BadHash')
  expect(one.commits.size).toBe(0)

  wanted = Buffer.from('nothing like it')
  const two = await joined('third', url)
  expect(titlesOf(two).get('card')).toBe('pay Ada 100')
  const signature = once(two, 'refused')
  wanted = Buffer.from(author.commit([titled('card', 'pay Ada 200')]).signature)
  instead = Buffer.from(wanted)
  instead[20] = (instead[20] ?? 0) ^ 1
  expect((await signature)[0]).toBe('BadSignature')
  expect(titlesOf(two).get('card')).toBe('pay Ada 100')
})

describe('[A10] a run under one signature', () => {
  /** `count` commits of one chain; all but the last without their signatures. */
  const makeRun = async (count: number): Promise<{ author: Client; run: Buffer[]; certificate: Buffer }> => {
    const author = await joined('author')
    author.socket.disconnect()
    const commits = Array.from({ length: count }, (_, i) => author.commit([titled('card', `${i}`)]))
    const run = commits.map(({ record }, i) => (i < count - 1 ? withSignature(record, Buffer.alloc(0)) : record))
    const { certificate } = author.own
    if (certificate === null) throw new Error('nobody certified the author')
    return { author, run, certificate }
  }

  test('is let in as a whole, with the ids it would have anyway', async () => {
    const { author, run, certificate } = await makeRun(64)
    const one = await joined('second')
    one.admit(run, [certificate])
    expect([...one.commits.keys()]).toEqual([...author.commits.keys()])
    expect([...one.tips.keys()]).toEqual([...author.tips.keys()])
    expect(titlesOf(one).get('card')).toBe('63')
  })

  test('is taken by the server, and comes to everybody', async () => {
    const one = await joined('second')
    one.socket.disconnect()
    const made = Array.from({ length: 10 }, (_, i) => one.commit([titled('card', `${i}`)]))
    const signature = Buffer.alloc(0)
    for (const commit of made.slice(0, -1))
      Object.assign(commit, { signature, record: withSignature(commit.record, signature) })
    await meet(one)
    const ada = await replica('ada')
    await holds(ada, () => titlesIn(ada).get('card') === '9')
    const other = await joined('third')
    expect([...other.commits.keys()]).toEqual([...one.commits.keys()])
    expect([...other.commits.values()].map((commit) => commit.signature.length)).toEqual([...Array(9).fill(0), 64])
  })

  test.each<[string, string, number, (run: Buffer[], author: Client) => unknown]>([
    ['without its last commit', 'BadSignature', 5, (run) => run.pop()],
    ['without its first commit', 'BrokenChain', 5, (run) => run.shift()],
    ['without one between', 'BadSignature', 5, (run) => run.splice(2, 1)],
    ['in another order', 'BadSignature', 5, (run) => run.splice(1, 2, ...run.slice(1, 3).reverse())],
    [
      'of more than 512 KiB',
      'TooLarge',
      1,
      (run, author) => {
        newChain(author, 7)
        const text = 'x'.repeat(60_000)
        const large = Array.from({ length: 9 }, () => author.commit([titled('large', text)]).record)
        const unsigned = large.slice(0, -1).map((record) => withSignature(record, Buffer.alloc(0)))
        run.splice(0, 1, ...unsigned, ...large.slice(-1))
      },
    ],
    ['of more than 64', 'TooMany', 65, () => undefined],
    [
      'with a bad signature',
      'BadSignature',
      5,
      (run) => run.push(withSignature(run.pop() ?? Buffer.of(), Buffer.alloc(64, 1))),
    ],
    [
      'with another content',
      'BadHash',
      5,
      (run) => {
        const [header, signature, changes] = decode(run[1] ?? Buffer.of())
        const [[identity, operations]] = changes as [Buffer[]]
        run[1] = encode([header, signature, [[identity, operations, encode([Buffer.alloc(12), ['x']])]]])
      },
    ],
    [
      'that ends with the commit of another chain',
      'BadSignature',
      5,
      (run, author) => {
        newChain(author, 7)
        run[4] = author.commit([titled('card', 'elsewhere')]).record
      },
    ],
  ])('is not let in %s', async (_, code, count, spoil) => {
    const { author, run, certificate } = await makeRun(count)
    spoil(run, author)
    const one = await joined('second')
    expect(() => one.admit(run, [certificate])).toThrow(code)
    expect(one.commits.size).toBe(0)
  })
})
